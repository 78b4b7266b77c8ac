package app

import (
	"sync"
	"time"

	"github.com/imagify-api/imagify/domain"
)

const (
	// maxUploads is how many uploads of a user may be under way at a time.
	maxUploads = 8
	// maxAllUploads is the same for the process. One that waits for its client holds at
	// most 128 KiB (its buffers and the scan's) and two descriptors.
	maxAllUploads = 1024
)

// uploadShares knows what is under way, so that no user takes more than a share of the
// process, nor more with what is unfinished than the quota leaves.
type uploadShares struct {
	mu    sync.Mutex
	users map[domain.ID]*uploadShare
	all   int
}

// uploadShare is what one user has under way.
type uploadShare struct {
	uploads int
	images  int64 // of uploads, those whose place in the quota is taken
	bytes   int64
	used    domain.Usage // what is stored, as last read
}

// underWay is one upload that was admitted. It must be ended.
type underWay struct {
	all    *uploadShares
	user   domain.ID
	share  *uploadShare
	images int64
	bytes  int64
	// repeats says that it has the Idempotency-Key of another, whose place in the quota is its own.
	repeats bool
}

// admit lets an upload begin, or refuses it as one too many.
func (u *uploadShares) admit(user domain.ID) (*underWay, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.all >= maxAllUploads {
		e := domain.Errorf(domain.Unavailable, "too many uploads are under way; try again in a moment")
		e.RetryAfter = 5 * time.Second
		return nil, e
	}
	s := u.users[user]
	if s == nil {
		s = &uploadShare{}
		if u.users == nil {
			u.users = map[domain.ID]*uploadShare{}
		}
		u.users[user] = s
	}
	if s.uploads >= maxUploads {
		return nil, rateLimited(maxUploads, time.Second, "%d uploads of yours are under way already; wait for one to end", maxUploads)
	}
	s.uploads++
	u.all++
	return &underWay{all: u, user: user, share: s}, nil
}

// stored takes note of what the records say that the user stores.
func (w *underWay) stored(used domain.Usage) {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	w.share.used = used
}

// take counts images and bytes of this upload against the quota: what is stored, what is
// under way and what is asked for have to fit into it.
func (w *underWay) take(l domain.Limits, images, bytes int64) error {
	if w.repeats {
		return nil
	}
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	s := w.share
	over := func(limit domain.Limit, used int64, what string) error {
		e := domain.LimitError(domain.QuotaExceeded, int64(limit), "your tier keeps at most %d %s, uploads under way included", int64(limit), what)
		e.Used = &used
		return e
	}
	if used := s.used.Images + s.images; !l.MaxImages.Allows(used + images) {
		return over(l.MaxImages, used, "images")
	}
	if used := s.used.Bytes + s.bytes; !l.MaxStorageBytes.Allows(used + bytes) {
		return over(l.MaxStorageBytes, used, "bytes")
	}
	s.images += images
	s.bytes += bytes
	w.images += images
	w.bytes += bytes
	return nil
}

// committing gives back what the upload has taken before it is committed: from then on what is stored may
// count it, and Commit counts exactly. Counted twice it would refuse another that fits.
func (w *underWay) committing() {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	w.giveBack()
}

func (w *underWay) giveBack() {
	w.share.images -= w.images
	w.share.bytes -= w.bytes
	w.images, w.bytes = 0, 0
}

// end gives back what the upload has taken.
func (w *underWay) end() {
	w.all.mu.Lock()
	defer w.all.mu.Unlock()
	w.giveBack()
	w.all.all--
	if w.share.uploads--; w.share.uploads == 0 {
		delete(w.all.users, w.user)
	}
}
