package gif

import (
	"github.com/imagify-api/imagify/adapters/nativeresizer/internal/input"
	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

// What things cost, in units of package work. BenchmarkCost compares them with the time.
const (
	// costSubBlock is a sub-block; costFrame a frame that is passed over.
	costSubBlock = 8
	costFrame    = 12
	// costCode is a code of compressed data without its pixels, and costPixel a pixel
	// that it stands for, added to its box by the costliest factors.
	costCode  = 6
	costPixel = 4

	// settleAt is how many units are spent together.
	settleAt = 10_000
)

// source is the input, in data sub-blocks after the first.
type source struct {
	input.Source
	budget *work.Budget
	cost   int64 // units that the budget does not know of yet
}

// spend adds to the costs, and tells the budget once there are some.
func (s *source) spend(units int64) error {
	if s.cost += units; s.cost < settleAt {
		return nil
	}
	return s.settle()
}

// settle tells the budget what was spent.
func (s *source) settle() error {
	units := s.cost
	s.cost = 0
	return s.budget.Spend(units)
}

// subBlock returns the contents of the next data sub-block (GIF89a 15), valid until
// the next call. Those of the block terminator (16) are empty.
func (s *source) subBlock() ([]byte, error) {
	if err := s.spend(costSubBlock); err != nil {
		return nil, err
	}
	n, err := s.Byte()
	if err != nil {
		return nil, err
	}
	return s.Take(int(n))
}

// skipSubBlocks passes over sub-blocks up to their terminator.
func (s *source) skipSubBlocks() error {
	for {
		b, err := s.subBlock()
		if err != nil || len(b) == 0 {
			return err
		}
	}
}
