package main

// What is published: both sides know every byte of it beforehand.

import (
	"bytes"
	"fmt"
)

func payloadOf(group uint64, frame, size int) []byte {
	out := make([]byte, size)
	for i := range out {
		out[i] = byte(group*31 + uint64(frame)*17 + uint64(i)*7 + uint64(i>>8)*13)
	}
	return out
}

// Sizes of the frames of a group.
func framesOf(scenario string, group uint64) []int {
	switch scenario {
	case "sizes":
		switch group {
		case 0:
			return nil
		case 1:
			return []int{0}
		}
		return []int{0, 1, 63, 64, 16383, 16384, 65536, 1048576}
	case "many-groups":
		return []int{10}
	case "stop":
		sizes := make([]int, 10)
		for i := range sizes {
			sizes[i] = 100000
		}
		return sizes
	}
	return []int{100, 100, 100}
}

func checkFrame(scenario string, group uint64, frame int, got []byte) error {
	sizes := framesOf(scenario, group)
	if frame >= len(sizes) {
		return fmt.Errorf("group %d has a frame %d", group, frame)
	}
	if len(got) != sizes[frame] {
		return fmt.Errorf("frame %d of group %d has %d bytes, not %d", frame, group, len(got), sizes[frame])
	}
	if !bytes.Equal(got, payloadOf(group, frame, sizes[frame])) {
		return fmt.Errorf("frame %d of group %d has other bytes than were published", frame, group)
	}
	return nil
}
