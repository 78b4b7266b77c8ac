package work_test

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/adapters/nativeresizer/work"
)

func TestBudgetGrowsWithBytesAndPixels(t *testing.T) {
	t.Parallel()
	b := work.ForFile()
	assert.EqualValues(t, work.Base, b.Limit())
	_, err := io.ReadAll(b.Reader(bytes.NewReader(make([]byte, 1000))))
	require.NoError(t, err)
	b.Pixels(100)
	assert.EqualValues(t, work.Base+1000*work.PerByte+100*work.PerPixel, b.Limit())
	b.Pixels(1 << 62)
	assert.EqualValues(t, work.Max, b.Limit(), "no size lifts the bound")
}

func TestAnExceededBudgetDoesNotGrowBack(t *testing.T) {
	t.Parallel()
	b := work.ForFile()
	require.ErrorIs(t, b.Spend(work.Base+1), work.ErrExceeded)
	b.Pixels(1000)
	assert.ErrorIs(t, b.Spend(0), work.ErrExceeded)
	fixed := work.New(10)
	fixed.Pixels(1000)
	assert.EqualValues(t, 10, fixed.Limit(), "only a file's budget grows")
}

func TestGrantsDoNotDependOnHowBytesArrive(t *testing.T) {
	t.Parallel()
	data := make([]byte, 5000)
	for _, src := range []io.Reader{bytes.NewReader(data), iotest.OneByteReader(bytes.NewReader(data)), iotest.DataErrReader(bytes.NewReader(data))} {
		b := work.ForFile()
		r := b.Reader(src)
		for _, want := range []int64{3000, 5000, 5000} {
			_, _ = r.Read(make([]byte, 3000))
			assert.EqualValues(t, work.Base+want*work.PerByte, b.Limit())
		}
	}
}
