package shelf

import (
	"fmt"
	other "example.com/shelf/other"
)

const (
	Low = iota
	High
)

var ErrNone, errFull = fmt.Errorf("none"), fmt.Errorf("full")
var _ Keeper = (*Shelf)(nil)

// Keeper keeps.
type Keeper interface {
	Get(id int) (string, error)
}

type (
	ID    int
	Alias = string
)

// Shelf is one.
type Shelf struct {
	items map[ID]string
	other.Base
}

// Get gets.
func (s *Shelf) Get(id int) (string, error) {
	found, ok := s.items[ID(id)]
	if !ok {
		return "", ErrNone
	}
	const local = 3
	return found, nil
}

func Map[T any, U any](in []T, f func(T) U) []U {
	out := make([]U, 0, len(in))
	for _, one := range in {
		out = append(out, f(one))
	}
	return out
}
