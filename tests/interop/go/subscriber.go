package main

// What a subscriber does. It decides: when it has what it wants, it closes.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/qumo-dev/gomoqt/moqt"
)

func bare(path moqt.BroadcastPath) string { return strings.Trim(string(path), "/") }

type subscriber struct {
	*stage
	found *moqt.AnnouncementReader
}

func (s *subscriber) discover() error {
	if s.found != nil {
		return nil
	}
	var err error
	s.found, err = s.sess.AcceptAnnounce("/room/") // moqt/mux.go: a prefix begins and ends with a slash
	return err
}

func (s *subscriber) next() (*moqt.Announcement, error) {
	ann, err := s.found.ReceiveAnnouncement(s.sess.Context())
	if err != nil {
		return nil, fmt.Errorf("no announcement: %w", err)
	}
	return ann, nil
}

// Until room/`name` is announced.
func (s *subscriber) await(name string) error {
	if err := s.discover(); err != nil {
		return err
	}
	for {
		ann, err := s.next()
		if err != nil {
			return err
		}
		if bare(ann.BroadcastPath()) == "room/"+name {
			return nil
		}
	}
}

func (s *subscriber) subscribe(path moqt.BroadcastPath, name moqt.TrackName, c *moqt.SubscribeConfig) (*moqt.TrackReader,
	error) {
	c.MaxLatency = 10000
	return s.sess.Subscribe(s.sess.Context(), path, name, c)
}

// The groups of a track as they come. `stops` says in front of which frame of a group to stop reading it.
func (s *subscriber) groups(t *moqt.TrackReader, stops map[uint64]int) <-chan group {
	out := make(chan group, 1024)
	go func() {
		var reading sync.WaitGroup
		for {
			r, err := t.AcceptGroup(context.Background())
			if err != nil {
				reading.Wait()
				close(out)
				return
			}
			stop, ok := stops[uint64(r.GroupSequence())]
			if !ok {
				stop = -1
			}
			reading.Go(func() { out <- readGroup(s.scenario, r, stop) })
		}
	}()
	return out
}

// Reads groups until `done`.
func each(from <-chan group, done func(group) (bool, error)) error {
	for g := range from {
		if g.err != nil {
			return g.err
		}
		if is, err := done(g); is || err != nil {
			return err
		}
	}
	return errors.New("the track or the session ended early")
}

// Groups `first` to `last`, whole.
func all(from <-chan group, first, last uint64) error {
	seen := map[uint64]bool{}
	return each(from, func(g group) (bool, error) {
		if !g.whole {
			return true, fmt.Errorf("group %d did not come whole", g.seq)
		}
		if g.seq < first || g.seq > last {
			return true, fmt.Errorf("group %d was not asked for", g.seq)
		}
		seen[g.seq] = true
		return uint64(len(seen)) == last-first+1, nil
	})
}

func (s *subscriber) readAll(name moqt.TrackName, last uint64) error {
	t, err := s.subscribe("/room/a", name, &moqt.SubscribeConfig{})
	if err != nil {
		return err
	}
	return all(s.groups(t, nil), 0, last)
}

func (s *subscriber) play() error {
	switch s.scenario {
	case "announce-discover":
		time.Sleep(300 * time.Millisecond)
		return s.both()
	case "discover-announce":
		return s.both()
	case "withdraw":
		return s.withdraw()
	case "probe":
		return s.probe()
	}
	if err := s.await("a"); err != nil {
		return err
	}
	switch s.scenario {
	case "subscribe-1":
		return s.readAll("t0", 4)
	case "subscribe-3":
		return s.three()
	case "late-join":
		return s.lateJoin()
	case "range":
		t, err := s.subscribe("/room/a", "t0", &moqt.SubscribeConfig{StartGroup: 2, EndGroup: 4})
		if err != nil {
			return err
		}
		from := s.groups(t, nil)
		if err := all(from, 2, 4); err != nil {
			return err
		}
		select { // nothing else comes, also when there is time
		case g, ok := <-from:
			if ok {
				return fmt.Errorf("group %d was not asked for", g.seq)
			}
		case <-time.After(200 * time.Millisecond):
		}
		return nil
	case "priority-update":
		return s.update()
	case "sizes":
		return s.readAll("t0", 2)
	case "many-groups":
		return s.readAll("t0", 499)
	case "end-of-track":
		if err := s.readAll("t0", 2); err != nil {
			return err
		}
		return unsupported("moqt/send_subscribe_stream.go:41: the end of the track is not told; the groups came")
	case "unknown-broadcast":
		if _, err := s.subscribe("/room/none", "t0", &moqt.SubscribeConfig{}); err == nil {
			return errors.New("the subscription was accepted")
		}
		again := &subscriber{stage: s.stage}
		return again.await("a")
	case "unknown-track":
		if _, err := s.subscribe("/room/a", "none", &moqt.SubscribeConfig{}); err == nil {
			return errors.New("the subscription was accepted")
		}
		return s.readAll("t0", 4)
	case "unsubscribe":
		return s.unsubscribe()
	case "goaway":
		return s.hearGoaway()
	case "reset":
		return s.reset()
	case "stop":
		return s.stop()
	case "close-subscriber", "close-publisher", "loss":
		return s.readAll("t0", 0)
	}
	return fmt.Errorf("no scenario %q", s.scenario)
}

func (s *subscriber) both() error {
	if err := s.discover(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for len(seen) < 2 {
		ann, err := s.next()
		if err != nil {
			return err
		}
		name := bare(ann.BroadcastPath())
		if name != "room/a" && name != "room/b" {
			return fmt.Errorf("%s was announced", name)
		}
		seen[name] = true
	}
	return nil
}

func (s *subscriber) withdraw() error {
	if err := s.discover(); err != nil {
		return err
	}
	a, err := s.next()
	if err != nil {
		return err
	}
	if bare(a.BroadcastPath()) != "room/a" {
		return fmt.Errorf("%s was announced", a.BroadcastPath())
	}
	select {
	case <-a.Done():
	case <-s.sess.Context().Done():
		return errors.New("the session ended early")
	}
	b, err := s.next()
	if err != nil {
		return err
	}
	if bare(b.BroadcastPath()) != "room/b" || !b.IsActive() {
		return fmt.Errorf("%s was announced", b.BroadcastPath())
	}
	return nil
}

func (s *subscriber) three() error {
	var wait sync.WaitGroup
	errs := make([]error, 3)
	for i, name := range []moqt.TrackName{"t0", "t1", "t2"} {
		wait.Go(func() { errs[i] = s.readAll(name, 4) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (s *subscriber) lateJoin() error {
	time.Sleep(450 * time.Millisecond)
	t, err := s.subscribe("/room/a", "t0", &moqt.SubscribeConfig{})
	if err != nil {
		return err
	}
	first, count := uint64(100), uint64(0)
	return each(s.groups(t, nil), func(g group) (bool, error) {
		if !g.whole {
			return true, fmt.Errorf("group %d did not come whole", g.seq)
		}
		first, count = min(first, g.seq), count+1
		if first+count != 10 {
			return false, nil
		}
		if first > 6 {
			return true, fmt.Errorf("the first group is %d", first)
		}
		return true, nil
	})
}

func (s *subscriber) update() error {
	t, err := s.subscribe("/room/a", "t0", &moqt.SubscribeConfig{Priority: 1})
	if err != nil {
		return err
	}
	seen := 0
	return each(s.groups(t, nil), func(g group) (bool, error) {
		if !g.whole {
			return true, fmt.Errorf("group %d did not come whole", g.seq)
		}
		seen++
		if g.seq == 2 {
			return false, t.Update(&moqt.SubscribeConfig{Priority: 200, MaxLatency: 10000})
		}
		return seen == 20, nil
	})
}

func (s *subscriber) unsubscribe() error {
	for round := range 2 {
		t, err := s.subscribe("/room/a", "t0", &moqt.SubscribeConfig{})
		if err != nil {
			return err
		}
		seen := 0
		if err := each(s.groups(t, nil), func(g group) (bool, error) {
			if !g.whole {
				return true, fmt.Errorf("group %d did not come whole", g.seq)
			}
			seen++
			return seen == 2, nil
		}); err != nil {
			return err
		}
		if round == 0 {
			if err := t.Close(); err != nil {
				return err
			}
			time.Sleep(300 * time.Millisecond)
		}
	}
	return nil
}

func (s *subscriber) probe() error {
	results, err := s.sess.Probe(1_000_000)
	if err != nil {
		return err
	}
	select {
	case _, ok := <-results:
		if !ok {
			return errors.New("the probe ended without a report")
		}
		return nil
	case <-s.sess.Context().Done():
		return errors.New("the session ended early")
	}
}

func (s *subscriber) hearGoaway() error {
	if err := s.readAll("t0", 0); err != nil {
		return err
	}
	select {
	case uri := <-s.goaway:
		if uri != "" {
			return fmt.Errorf("GOAWAY names %q", uri)
		}
		return nil
	case <-s.sess.Context().Done():
		return errors.New("the session ended without GOAWAY")
	}
}

func (s *subscriber) reset() error {
	t, err := s.subscribe("/room/a", "t0", &moqt.SubscribeConfig{})
	if err != nil {
		return err
	}
	whole := map[uint64]bool{}
	return each(s.groups(t, nil), func(g group) (bool, error) {
		if g.seq == 1 {
			if g.whole || g.frames > 1 {
				return true, errors.New("group 1 came whole")
			}
			return false, nil
		}
		if !g.whole {
			return true, fmt.Errorf("group %d did not come whole", g.seq)
		}
		whole[g.seq] = true
		return whole[0] && whole[2], nil
	})
}

func (s *subscriber) stop() error {
	t, err := s.subscribe("/room/a", "t0", &moqt.SubscribeConfig{})
	if err != nil {
		return err
	}
	return each(s.groups(t, map[uint64]int{1: 3}), func(g group) (bool, error) {
		if g.seq != 1 && !g.whole {
			return true, fmt.Errorf("group %d did not come whole", g.seq)
		}
		return g.seq == 3, nil
	})
}

func playSubscriber(st *stage) error {
	s := &subscriber{stage: st}
	err := s.play()
	code, reason := uint64(0), ""
	switch {
	case err != nil:
		if _, ok := errors.AsType[unsupported](err); !ok {
			return err
		}
	case s.scenario == "close-publisher":
		return closedWith(st, 0x3ea, "gone")
	case s.scenario == "loss":
		if e := st.conn.ended(); e.application || e.local {
			return fmt.Errorf("the session was closed: %v", e.err)
		}
		return nil
	case s.scenario == "close-subscriber":
		code, reason = 0x3e9, "bye"
	}
	st.close(code, reason)
	return err
}

// ---- both

// Both sides publish, and both read five groups of the other's.
func prepareReverse(o *options, mux *moqt.TrackMux) func(*stage) error {
	p := newPublisher(o, mux)
	mine, theirs := "a", "b"
	if !o.dials() {
		mine, theirs = "b", "a"
	}
	p.announce(moqt.BroadcastPath("/room/" + mine))
	return func(st *stage) error {
		s := &subscriber{stage: st}
		if err := s.await(theirs); err != nil {
			return err
		}
		t, err := s.subscribe(moqt.BroadcastPath("/room/"+theirs), "t0", &moqt.SubscribeConfig{})
		if err != nil {
			return err
		}
		if err := all(s.groups(t, nil), 0, 4); err != nil {
			return err
		}
		if !o.dials() {
			return closedWith(st, 0, "")
		}
		if err := p.wait(st); err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond)
		st.close(0, "")
		return nil
	}
}

func prepare(o *options, mux *moqt.TrackMux) func(*stage) error {
	switch {
	case o.scenario == "reverse":
		return prepareReverse(o, mux)
	case o.publishes():
		return preparePublisher(o, mux)
	}
	return playSubscriber
}
