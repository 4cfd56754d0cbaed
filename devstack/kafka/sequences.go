//go:build unix

package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// kfake remembers what an idempotent producer has sent, and tells repeats by it, but writes that down only at an orderly end. A
// broker that was killed finds it in its log. So do these, in kfake's own file, before kfake reads it.

// sequences is kfake's seq_windows.json.
type sequences struct {
	Version int      `json:"version"`
	Windows []window `json:"windows"`
}

// window is the last batches of a producer in a partition, as a ring.
type window struct {
	Producer  int64   `json:"pid"`
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Entries   [5]sent `json:"entries"`
	Count     uint8   `json:"count"`
	At        uint8   `json:"at"`
	Epoch     int16   `json:"epoch"`
	Seen      bool    `json:"seen"`
	Next      int32   `json:"next_seq"`
}

type sent struct {
	First  int32 `json:"first_seq"`
	Next   int32 `json:"next_seq"`
	Offset int64 `json:"offset"`
}

// recoverSequences writes down what the segments of all partitions tell of producers.
func recoverSequences(dir string) error {
	segments, err := filepath.Glob(filepath.Join(dir, "partitions", "*", "*.dat"))
	if err != nil || len(segments) == 0 {
		return err
	}
	partitions := map[string][]int64{} // first offsets, by directory
	for _, path := range segments {
		base, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(path), ".dat"), 10, 64)
		if err == nil {
			partitions[filepath.Dir(path)] = append(partitions[filepath.Dir(path)], base)
		}
	}
	s := sequences{Version: 1}
	for path, bases := range partitions {
		slices.Sort(bases)
		windows, err := readPartition(path, bases)
		if err != nil {
			return err
		}
		s.Windows = append(s.Windows, windows...)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "seq_windows.json")
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// readPartition is the windows of the partition with the directory.
func readPartition(dir string, bases []int64) ([]window, error) {
	name := filepath.Base(dir)
	dash := strings.LastIndexByte(name, '-')
	if dash < 0 {
		return nil, fmt.Errorf("%s is the directory of no partition", dir)
	}
	number, err := strconv.ParseInt(name[dash+1:], 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%s is the directory of no partition: %w", dir, err)
	}
	topic, err := url.PathUnescape(name[:dash])
	if err != nil {
		return nil, fmt.Errorf("%s is the directory of no partition: %w", dir, err)
	}
	windows := map[int64]*window{}
	for _, base := range bases {
		err := readSegment(filepath.Join(dir, fmt.Sprintf("%d.dat", base)), func(h header) {
			w := windows[h.producer()]
			if w == nil || w.Epoch != h.epoch() {
				w = &window{Producer: h.producer(), Topic: topic, Partition: int32(number), Epoch: h.epoch(), Seen: true}
				windows[h.producer()] = w
			}
			w.add(h)
		})
		if err != nil {
			return nil, err
		}
	}
	var out []window
	for _, w := range windows {
		out = append(out, *w)
	}
	return out, nil
}

func (w *window) add(h header) {
	next := int32((int64(h.sequence()) + int64(h.records())) % math.MaxInt32) //nolint:gosec // below 2^31, as kfake has it
	w.Entries[w.At] = sent{h.sequence(), next, h.offset()}
	w.At = (w.At + 1) % uint8(len(w.Entries))
	w.Count = min(w.Count+1, uint8(len(w.Entries)))
	w.Next = next
}

// header is what a record batch begins with.
type header [61]byte

func (h *header) offset() int64   { return int64(binary.BigEndian.Uint64(h[0:])) }      //nolint:gosec // as it was written
func (h *header) size() int64     { return 12 + int64(binary.BigEndian.Uint32(h[8:])) } // of the batch, bytes
func (h *header) control() bool   { return binary.BigEndian.Uint16(h[21:])&0x20 != 0 }  // of a transaction
func (h *header) producer() int64 { return int64(binary.BigEndian.Uint64(h[43:])) }     //nolint:gosec // as it was written
func (h *header) epoch() int16    { return int16(binary.BigEndian.Uint16(h[51:])) }     //nolint:gosec // as it was written
func (h *header) sequence() int32 { return int32(binary.BigEndian.Uint32(h[53:])) }     //nolint:gosec // as it was written
func (h *header) records() int32  { return int32(binary.BigEndian.Uint32(h[57:])) }     //nolint:gosec // as it was written

// readSegment tells of every whole batch of an idempotent producer. What is behind the last whole batch kfake cuts off.
func readSegment(path string, tell func(header)) error {
	f, err := os.Open(path) //nolint:gosec // the stand-in's own data
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var h header
	for at := int64(0); ; at += h.size() {
		if _, err := f.ReadAt(h[:], at); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if at+h.size() > info.Size() {
			return nil
		}
		if h.producer() >= 0 && !h.control() {
			tell(h)
		}
	}
}
