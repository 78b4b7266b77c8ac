package work_test

import (
	"bytes"
	"errors"
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
	for _, wrap := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.DataErrReader} {
		file := bytes.NewReader(data)
		b := work.ForFile()
		r := b.Reader(struct {
			io.Reader
			io.Seeker
		}{wrap(file), file})
		for _, want := range []int64{3000, 5000, 5000} {
			_, _ = r.Read(make([]byte, 3000))
			assert.EqualValues(t, work.Base+want*work.PerByte, b.Limit())
		}
	}
}

// A file is granted for once, however often its bytes are read, and not for what is passed over.
func TestWhatIsReadAgainIsNotGrantedAgain(t *testing.T) {
	t.Parallel()
	b := work.ForFile()
	r := b.Reader(bytes.NewReader(make([]byte, 5000)))
	read := func(n int64) {
		_, err := io.CopyN(io.Discard, r, n)
		require.NoError(t, err)
	}
	granted := func() int64 { return (b.Limit() - work.Base) / work.PerByte }
	read(1000)
	at, err := r.Seek(3000, io.SeekStart)
	require.NoError(t, err)
	assert.EqualValues(t, 3000, at)
	read(500)
	assert.EqualValues(t, 1500, granted())
	for range 20 {
		_, err := r.Seek(0, io.SeekStart)
		require.NoError(t, err)
		read(5000)
	}
	assert.EqualValues(t, 5000, granted())
}

// What a header comes to hold beyond a little is asked for, once.
func TestHeadersAreAskedFor(t *testing.T) {
	t.Parallel()
	b := work.ForFile()
	require.NoError(t, b.Hold(1<<30), "nobody wants to be asked")
	asked := 0
	b = work.ForFile()
	b.OnHold(func() error { asked++; return nil })
	require.NoError(t, b.Hold(work.FreeHeader))
	assert.Zero(t, asked)
	require.NoError(t, b.Hold(1))
	require.NoError(t, b.Hold(1<<30))
	assert.Equal(t, 1, asked)
	refused := errors.New("no")
	b = work.ForFile()
	b.OnHold(func() error { return refused })
	require.ErrorIs(t, b.Hold(work.FreeHeader+1), refused)
	require.NoError(t, (*work.Budget)(nil).Hold(1<<30))
}
