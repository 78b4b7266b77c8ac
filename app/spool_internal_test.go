package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
)

// What a client has announced and not sent takes no room in the spool from others; what could never fit is
// refused before it is sent.
func TestAnAnnouncedSizeTakesNoRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	free, err := freeBytes(dir)
	if err != nil {
		t.Skip("how much of a disk is free cannot be asked here")
	}
	size := free / 8
	s := newSpool(dir, free-5*size/2, []string{dir, t.TempDir()})
	defer s.close()
	for range 6 {
		f, err := s.create(size)
		require.NoError(t, err)
		defer f.Close()
		_, err = f.Write(make([]byte, 100))
		require.NoError(t, err)
	}
	_, err = s.create(3 * size)
	require.ErrorIs(t, err, domain.Unavailable)
}
