package main

// What a publisher does: it keeps the groups of its tracks, and every subscription reads from there.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/qumo-dev/gomoqt/moqt"
)

// A track to which a group is added every so often.
type track struct {
	scenario string
	count    uint64 // of groups; 0: until the session ends
	every    time.Duration

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when there is more
	groups  uint64
	ended   bool
	asked   sync.Once

	requests, over atomic.Int32
	priority       atomic.Int32 // as last updated
	served         chan struct{}
}

func newTrack(o *options) *track {
	t := &track{scenario: o.scenario, count: 5, every: 20 * time.Millisecond, changed: make(chan struct{}),
		served: make(chan struct{}, 16)}
	switch o.scenario {
	case "late-join":
		t.count, t.every = 10, 100*time.Millisecond
	case "range":
		t.every = 0
	case "priority-update":
		t.count = 20
	case "sizes", "end-of-track", "reset":
		t.count = 3
	case "many-groups":
		t.count, t.every = 500, 2*time.Millisecond
	case "unsubscribe", "stop":
		t.count, t.every = 0, 50*time.Millisecond
	case "goaway", "close-publisher", "loss", "close-subscriber":
		t.count = 1
	}
	return t
}

func (t *track) begin() { t.asked.Do(func() { go t.grow() }) }

func (t *track) grow() {
	for g := uint64(0); t.count == 0 || g < t.count; g++ {
		if g != 0 {
			time.Sleep(t.every)
		}
		t.change(func() { t.groups++ })
	}
	time.Sleep(200 * time.Millisecond) // the end does not overtake a group that way
	t.change(func() { t.ended = true })
}

func (t *track) change(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f()
	close(t.changed)
	t.changed = make(chan struct{})
}

func (t *track) serve(tw *moqt.TrackWriter) {
	t.requests.Add(1)
	defer t.over.Add(1)
	want := tw.TrackConfig()
	t.mu.Lock()
	next := uint64(want.StartGroup)
	if next == 0 && t.groups != 0 { // "latest": gomoqt cannot tell it from group 0
		next = t.groups - 1
	}
	t.mu.Unlock()
	if err := tw.WriteInfo(moqt.PublishInfo{StartGroup: moqt.GroupSequence(next)}); err != nil {
		return
	}
	ctx, cancel := context.WithCancel(tw.Context())
	defer cancel()
	go func() { // gomoqt does not tell otherwise that the subscriber has ended its side
		defer cancel()
		for {
			update, err := tw.ReadUpdate()
			if err != nil {
				return
			}
			t.priority.Store(int32(update.Priority))
		}
	}()
	t.begin()
	var writing sync.WaitGroup
	defer writing.Wait()
	for last := uint64(want.EndGroup); last == 0 || next <= last; next++ {
		for {
			t.mu.Lock()
			there, ended, changed := next < t.groups, t.ended, t.changed
			t.mu.Unlock()
			if there {
				break
			}
			if ended {
				t.served <- struct{}{}
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
		}
		group, err := tw.OpenGroupAt(ctx, moqt.GroupSequence(next))
		if err != nil {
			return
		}
		writing.Go(func() { t.write(group) })
	}
	writing.Wait()
	<-time.After(200 * time.Millisecond)
}

func (t *track) write(group *moqt.GroupWriter) {
	g := uint64(group.GroupSequence())
	for f, size := range framesOf(t.scenario, g) {
		frame := moqt.NewFrame(size)
		_, _ = frame.Write(payloadOf(g, f, size))
		if err := group.WriteFrame(frame); err != nil {
			return // the subscriber has given the group up, or all is over
		}
		if t.scenario == "reset" && g == 1 {
			time.Sleep(50 * time.Millisecond)
			group.CancelWrite(moqt.ExpiredGroupErrorCode)
			return
		}
	}
	_ = group.Close()
}

type publisher struct {
	tracks map[moqt.TrackName]*track
	mux    *moqt.TrackMux
	end    moqt.EndAnnouncementFunc // of the broadcast announced last
}

func newPublisher(o *options, mux *moqt.TrackMux) *publisher {
	p := &publisher{tracks: map[moqt.TrackName]*track{"t0": newTrack(o)}, mux: mux}
	if o.scenario == "subscribe-3" {
		p.tracks["t1"], p.tracks["t2"] = newTrack(o), newTrack(o)
	}
	return p
}

func (p *publisher) announce(path moqt.BroadcastPath) {
	ann, end := moqt.NewAnnouncement(context.Background(), path)
	p.end = end
	p.mux.Announce(ann, moqt.TrackHandlerFunc(func(tw *moqt.TrackWriter) {
		if t := p.tracks[tw.TrackName]; t != nil {
			t.serve(tw)
		} else {
			tw.CloseWithError(moqt.SubscribeErrorCodeNotFound)
		}
	}))
}

// Until some track has been served to its end.
func (p *publisher) wait(s *stage) error {
	select {
	case <-p.tracks["t0"].served:
		return nil
	case <-s.sess.Context().Done():
		return fmt.Errorf("the session ended early: %v", context.Cause(s.sess.Context()))
	}
}

// Until the session is closed, and as it should be.
func closedWith(s *stage, code uint64, reason string) error {
	e := s.conn.ended()
	switch {
	case !e.application:
		return fmt.Errorf("the session was not closed by the peer: %v", e.err)
	case e.code != code || e.reason != reason:
		return fmt.Errorf("the session was closed with %#x %q", e.code, e.reason)
	}
	return nil
}

// What is announced before there is a session, and the rest.
func preparePublisher(o *options, mux *moqt.TrackMux) func(*stage) error {
	p := newPublisher(o, mux)
	t := p.tracks["t0"]
	if o.scenario != "discover-announce" {
		p.announce("/room/a")
	}
	if o.scenario == "announce-discover" {
		p.announce("/room/b")
	}
	return func(s *stage) error {
		code, reason := uint64(0), ""
		switch o.scenario {
		case "discover-announce":
			time.Sleep(300 * time.Millisecond)
			p.announce("/room/a")
			p.announce("/room/b")
		case "withdraw":
			time.Sleep(300 * time.Millisecond)
			p.end()
			p.announce("/room/b")
		case "late-join", "range":
			t.begin()
		case "goaway":
			if err := p.wait(s); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
			defer cancel()
			go func() { _ = s.server.Shutdown(ctx) }()
		case "close-subscriber":
			code, reason = 0x3e9, "bye"
		case "close-publisher":
			if err := p.wait(s); err != nil {
				return err
			}
			s.close(0x3ea, "gone")
			return nil
		case "loss":
			if err := p.wait(s); err != nil {
				return err
			}
			return nil // and the process ends
		}
		if err := closedWith(s, code, reason); err != nil {
			return err
		}
		for name, t := range p.tracks {
			switch o.scenario {
			case "announce-discover", "discover-announce", "withdraw", "probe", "unknown-broadcast":
			default:
				if t.requests.Load() == 0 {
					return fmt.Errorf("nobody asked for %s", name)
				}
			}
		}
		switch {
		case o.scenario == "priority-update" && t.priority.Load() != 200:
			return fmt.Errorf("the priority was not updated: %d", t.priority.Load())
		case o.scenario == "unsubscribe" && t.requests.Load() < 2:
			return errors.New("there was no second subscription")
		}
		return nil
	}
}

// ---- reading a group

// A group as far as it came.
type group struct {
	seq    uint64
	frames int
	whole  bool
	err    error // what was wrong with it, and not only cut short
}

// Reads to the end, or stops in front of frame `stop`.
func readGroup(scenario string, r *moqt.GroupReader, stop int) group {
	g := group{seq: uint64(r.GroupSequence())}
	frame := moqt.NewFrame(0)
	for {
		if g.frames == stop {
			r.CancelRead(moqt.SubscribeCanceledErrorCode)
			return g
		}
		frame.Reset()
		if err := r.ReadFrame(frame); err != nil {
			g.whole = err == io.EOF && g.frames == len(framesOf(scenario, g.seq))
			return g
		}
		if g.err = checkFrame(scenario, g.seq, g.frames, frame.Body()); g.err != nil {
			return g
		}
		g.frames++
	}
}
