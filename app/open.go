package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

const (
	// bodyCacheBytes bounds the memory that keeps small thumbnails, bodyCacheMax one of them.
	bodyCacheBytes = 32 << 20
	bodyCacheMax   = 64 << 10
	// sealedInMemory bounds a stored thumbnail that is read whole before a byte of it is
	// shown; a larger one is read twice.
	sealedInMemory = 1 << 20
	// makeTimeout bounds the making of one thumbnail, its waiting for admission included.
	makeTimeout = 60 * time.Second
)

// imagePrefix begins the keys of all of an image's blobs.
func imagePrefix(ownerID, id domain.ID) string {
	return imagesPrefix + ownerID.String() + "/" + id.String() + "/"
}

func originalKey(ownerID, id domain.ID) string { return imagePrefix(ownerID, id) + "original" }

func (s *Service) thumbnailKey(img domain.Image, height int) string {
	return imagePrefix(img.OwnerID, img.ID) + "thumbnails/" + s.cfg.Resizer.Version() + "-" + strconv.Itoa(height) + img.ThumbnailFormat().Extension()
}

// bodyKey names a small thumbnail in memory.
type bodyKey struct {
	id     domain.ID
	height int
}

// thumbnail is a small thumbnail in memory, with its entity tag.
type thumbnail struct {
	data []byte
	etag string
}

// thumbnailTag is a thumbnail's strong entity tag: 128 bits of a hash over the image's id,
// the resizer's version and the height, which together decide its bytes. Every node gives
// the same. Nothing of the original's digest is in it: who may have a thumbnail might not
// have the original, and could otherwise recognise it.
func (s *Service) thumbnailTag(id domain.ID, height int) string {
	h := sha256.New()
	fmt.Fprintf(h, "imagify thumbnail %s %s %d", id, s.cfg.Resizer.Version(), height)
	return `"` + hex.EncodeToString(h.Sum(nil)[:16]) + `"`
}

// Content is a variant's bytes on their way out. Body must be closed.
type Content struct {
	Image   domain.Image
	Variant domain.Variant
	// ContentType is by content, ETag a strong entity tag with its quotes.
	ContentType string
	ETag        string
	ModTime     time.Time
	Size        int64
	Body        io.ReadSeekCloser
	// Expires is when the signed URL or the link ends; zero for credentials.
	Expires time.Time
	// Public says that a link or a signed URL opened it: other sites may embed it.
	Public bool
	// Link says that an expiring link opened it. ViewsBound: it has max_views, so parts are not to be had.
	Link, ViewsBound bool
	// CountView counts a view before the first byte of a body goes out; its error
	// refuses the body. Nil unless a link opened it.
	CountView func(ctx context.Context) error
	// Recheck decides again whether the bytes may still go out; call it between the pieces of a long body.
	Recheck func(ctx context.Context) error
}

// Ready reads the first bytes from where Body stands and decides again, before the answer begins:
// its error is one that a status can still tell. It is not needed, and not for several parts.
func (c *Content) Ready() error {
	if b, ok := c.Body.(*sentBody); ok {
		return b.ready()
	}
	return nil
}

// send makes a blob the content's body.
func (c *Content) send(ctx context.Context, b ports.Blob) {
	c.Body, c.Size = b.Body, b.Size
	if _, inMemory := b.Body.(readSeekNopCloser); !inMemory {
		c.Body = &sentBody{body: b.Body, decided: time.Now(), recheck: func() error { return c.Recheck(ctx) }}
	}
}

// Open opens a variant of an image by credentials.
func (s *Service) Open(ctx context.Context, actor domain.Actor, id domain.ID, v domain.Variant) (*Content, error) {
	return s.open(ctx, credential{actor: &actor}, id, v)
}

// OpenSigned opens a variant by a signed URL, as its owner's permissions are now.
func (s *Service) OpenSigned(ctx context.Context, q SignatureText, id domain.ID, v domain.Variant) (*Content, error) {
	owner, expires, err := s.verify(q, id, v, s.now())
	if err != nil {
		s.logRefusal(ctx, credential{}, id, v.String(), err)
		return nil, err
	}
	c, err := s.open(ctx, credential{owner: owner, until: expires}, id, v)
	if err == nil {
		c.Expires, c.Public = expires, true
	}
	return c, err
}

func (s *Service) open(ctx context.Context, by credential, id domain.ID, v domain.Variant) (*Content, error) {
	img, err := s.authorize(ctx, by, id, v)
	if err != nil {
		return nil, err
	}
	c := &Content{Image: img, Variant: v, ModTime: img.UploadedAt}
	c.Recheck = func(ctx context.Context) error {
		now, err := s.renew(ctx, by)
		if err == nil {
			_, err = s.authorize(ctx, now, id, v)
		}
		return err
	}
	var b ports.Blob
	if v.IsOriginal() {
		c.ContentType, c.ETag = img.Format.ContentType(), `"`+hex.EncodeToString(img.SHA256[:16])+`"`
		b, err = s.openOriginal(ctx, img)
	} else {
		c.ContentType = img.ThumbnailFormat().ContentType()
		if t, ok := s.bodies.GetIfPresent(bodyKey{id, v.Height()}); ok {
			b = inMemory(t.data)
			c.Body, c.Size, c.ETag = b.Body, b.Size, t.etag
			return c, nil // nobody was waited for since the decision
		}
		c.ETag = s.thumbnailTag(id, v.Height())
		b, err = s.openThumbnail(ctx, img, v.Height(), c.ETag)
	}
	if err != nil {
		return nil, err
	}
	// The store, a turn and the making of a thumbnail were waited for: what was decided before may be so no more.
	if err := c.Recheck(ctx); err != nil {
		b.Body.Close()
		return nil, err
	}
	c.send(ctx, b)
	return c, nil
}

// openOriginal opens the uploaded bytes. If a record has none, too few or others, it
// is a failure of the store, never an answer. Its body is a ports.CheckedBody.
func (s *Service) openOriginal(ctx context.Context, img domain.Image) (ports.Blob, error) {
	b, err := s.cfg.Blobs.Open(ctx, originalKey(img.OwnerID, img.ID))
	if errors.Is(err, domain.NotFound) {
		if err = s.restoreOriginal(ctx, img); err == nil || errors.Is(err, domain.NotFound) {
			// If it was not in the trash, another node may have been quicker.
			b, err = s.cfg.Blobs.Open(ctx, originalKey(img.OwnerID, img.ID))
		}
	}
	if errors.Is(err, domain.NotFound) {
		return ports.Blob{}, s.noOriginal(ctx, img, err)
	}
	if err == nil && b.Size != img.Size {
		b.Body.Close()
		return ports.Blob{}, domain.Wrap(domain.Unavailable, fmt.Errorf("the stored original of %s has %d bytes, its record says %d", img.ID, b.Size, img.Size), "the image's bytes are not available")
	}
	if err == nil {
		b.Body = ports.NewCheckedBody(b, img.SHA256)
	}
	return b, err
}

// noOriginal says why the store has no original, or nothing made of it: the image was deleted between
// the decision and now, or the store fails.
func (s *Service) noOriginal(ctx context.Context, img domain.Image, err error) error {
	if state, serr := s.rec.Images.State(ctx, img.OwnerID, img.ID); serr == nil && state != domain.ImageReady || errors.Is(serr, domain.NotFound) {
		return domain.NoSuchImage()
	}
	return domain.Wrap(domain.Unavailable, err, "the image's bytes are not available")
}

// openThumbnail opens a thumbnail from the store, or makes it. A small one is kept in memory.
func (s *Service) openThumbnail(ctx context.Context, img domain.Image, height int, etag string) (ports.Blob, error) {
	key := bodyKey{img.ID, height}
	b, err := s.storedThumbnail(ctx, img, height)
	if small, ok := b.Body.(readSeekNopCloser); ok && err == nil && len(small.all) <= bodyCacheMax {
		s.bodies.Set(key, thumbnail{small.all, etag})
	}
	if !errors.Is(err, domain.NotFound) {
		return b, err
	}
	flight := key
	if slowToDecode(img) {
		flight.height = 0 // all heights are made at once
	}
	ours := false
	data, err := s.inflight.do(ctx, flight, func(ctx context.Context) ([]byte, error) {
		ours = true
		// It may have been made since the store was asked, by a flight that has landed.
		b, err := s.storedThumbnail(ctx, img, height)
		if err == nil {
			return readAll(b)
		}
		if !errors.Is(err, domain.NotFound) {
			return nil, err
		}
		heights := []int{height}
		if slowToDecode(img) {
			heights = append(heights, s.missingHeights(ctx, img, height)...)
		}
		return s.makeThumbnails(ctx, img, heights)
	})
	if err != nil {
		return ports.Blob{}, err
	}
	if flight != key && !ours {
		// The flight that was waited for began with another height, and made this one too if the owner may have it.
		if b, err := s.storedThumbnail(ctx, img, height); !errors.Is(err, domain.NotFound) {
			return b, err
		}
		if data, err = s.inflight.do(ctx, key, func(ctx context.Context) ([]byte, error) {
			return s.makeThumbnails(ctx, img, []int{height})
		}); err != nil {
			return ports.Blob{}, err
		}
	}
	if len(data) <= bodyCacheMax {
		s.bodies.Set(key, thumbnail{data, etag})
	}
	return inMemory(data), nil
}

// slowPixels is from how many pixels on a WebP takes a tenth of a second and more to decode, like every HEIC.
const slowPixels = 4_000_000

// slowToDecode reports whether decoding an image costs so much more than a thumbnail of what was
// decoded that all its thumbnails are made at once.
func slowToDecode(img domain.Image) bool {
	return img.Format == domain.HEIC || img.Format == domain.WebP && int64(img.Width)*int64(img.Height) >= slowPixels
}

// missingHeights are the other heights that the image's owner may have, as far as none is
// stored. They are made beside the one that was asked for: where this fails, later, when they are asked for.
func (s *Service) missingHeights(ctx context.Context, img domain.Image, height int) (missing []int) {
	acc, err := s.account(ctx, img.OwnerID)
	if err != nil {
		return nil
	}
	stored, err := s.cfg.Blobs.List(ctx, imagePrefix(img.OwnerID, img.ID)+"thumbnails/", "", 4*domain.MaxHeightsPerUser)
	if err != nil {
		return nil
	}
	for _, h := range acc.entitlements.Permissions.Heights() {
		key := s.thumbnailKey(img, h)
		if h != height && !slices.ContainsFunc(stored, func(b ports.BlobInfo) bool { return b.Key == key }) {
			missing = append(missing, h)
		}
	}
	return missing
}

// storedThumbnail opens a thumbnail that the store has, after it was compared with its
// seal: in memory, unless it is large. One that is another's or damaged counts as
// missing, and is removed: it is made again.
func (s *Service) storedThumbnail(ctx context.Context, img domain.Image, height int) (ports.Blob, error) {
	key := s.thumbnailKey(img, height)
	b, err := s.cfg.Blobs.Open(ctx, key)
	if err != nil {
		return b, err
	}
	var ok bool
	if b.Size > sealedInMemory {
		var large ports.Blob
		if large, ok, err = ports.UnsealBlob(key, b); ok && err == nil {
			return large, nil
		}
		b.Body.Close()
	} else {
		var stored, data []byte
		if stored, err = readAll(b); err == nil {
			data, ok = ports.Unseal(key, stored)
		}
		if ok {
			return inMemory(data), nil
		}
	}
	if err != nil {
		return ports.Blob{}, domain.Wrap(domain.Unavailable, err, "the thumbnail's bytes are not available")
	}
	s.log.WarnContext(ctx, "a stored thumbnail is damaged, another's or of an older release: it is made again", "image", img.ID.String(), "height", height)
	if err := s.cfg.Blobs.Delete(ctx, key); err != nil {
		return ports.Blob{}, err
	}
	return ports.Blob{}, domain.Wrap(domain.NotFound, errBadSeal, "no such thumbnail")
}

// errBadSeal is why a thumbnail that is stored counts as missing.
var errBadSeal = errors.New("its seal is not that of its key and bytes")

func inMemory(data []byte) ports.Blob {
	return ports.Blob{Body: readSeekNopCloser{bytes.NewReader(data), data}, Size: int64(len(data))}
}

type readSeekNopCloser struct {
	*bytes.Reader
	all []byte
}

func (readSeekNopCloser) Close() error { return nil }

// makeThumbnails makes thumbnails, keeps them and returns the first. If the image was
// deleted meanwhile, what was kept is removed again.
//
// They are made of the original, never of a larger thumbnail that happens to be stored: its strong
// ETag names the original, the version and the height, so its bytes must not depend on what was
// asked for before, on this node or another. A reduced decode of the original costs little more anyway.
func (s *Service) makeThumbnails(ctx context.Context, img domain.Image, heights []int) (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.ErrorContext(ctx, "the resizer panicked", "image", img.ID.String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			data, err = nil, domain.Errorf(domain.Internal, "the thumbnail cannot be made")
		}
	}()
	if s.cfg.RemoteResizer == nil {
		data, err = s.resizeHere(ctx, img, heights)
	} else if data, err = s.resizeThere(ctx, img, heights); domain.CodeOf(err) == domain.Conflict {
		// Another release runs there, as while one is rolled out: its pixels are not ours.
		s.log.WarnContext(ctx, "thumbnails are made here", "image", img.ID.String(), "heights", heights, "error", err)
		data, err = s.resizeHere(ctx, img, heights)
	}
	if err != nil {
		return nil, err
	}
	state, err := s.rec.Images.State(ctx, img.OwnerID, img.ID)
	if errors.Is(err, domain.NotFound) || err == nil && state != domain.ImageReady {
		c, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		keys := make([]string, len(heights))
		for i, h := range heights {
			keys[i] = s.thumbnailKey(img, h)
		}
		if err := s.cfg.Blobs.Delete(c, keys...); err != nil {
			s.log.WarnContext(ctx, "a deleted image's thumbnails are left to the sweep", "image", img.ID.String(), "error", err)
		}
		return nil, domain.NoSuchImage()
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}

// resizeHere makes thumbnails by this process's Resizer, puts them under their keys and returns the
// first. The cost is charged to the owner's share, not to the reader's: the owner chose what the picture
// costs, and readers, with any number of addresses, can have each thumbnail made only once.
func (s *Service) resizeHere(ctx context.Context, img domain.Image, heights []int) ([]byte, error) {
	src, err := s.openOriginal(ctx, img)
	if err != nil {
		return nil, err
	}
	thumbs, err := s.cfg.Resizer.Resize(ctx, src.Body, ports.ResizeRequest{Heights: heights, Share: img.OwnerID.String()})
	if checked, ok := src.Body.(*ports.CheckedBody); ok && err == nil {
		err = checked.Finish() // of another's picture no thumbnail is kept
	}
	src.Body.Close()
	if err != nil {
		return nil, err
	}
	for i, h := range heights {
		key := s.thumbnailKey(img, h)
		sealed := ports.Seal(key, thumbs[i].Data)
		err = s.cfg.Blobs.Put(ctx, key, bytes.NewReader(sealed), ports.PutOptions{
			Size: int64(len(sealed)), IfAbsent: true, ContentType: thumbs[i].Format.ContentType(),
		})
		if err != nil && !errors.Is(err, domain.Conflict) {
			if ctx.Err() != nil {
				return nil, err
			}
			// It could not be kept; it can still be shown.
			s.log.WarnContext(ctx, "a thumbnail could not be kept", "image", img.ID.String(), "height", h, "error", err)
			break
		}
	}
	return thumbs[0].Data, nil
}

// resizeThere has the RemoteResizer make thumbnails under their keys, and reads the first.
func (s *Service) resizeThere(ctx context.Context, img domain.Image, heights []int) ([]byte, error) {
	job := ports.RemoteJob{
		Source: originalKey(img.OwnerID, img.ID), Size: img.Size, SHA256: img.SHA256, Version: s.cfg.Resizer.Version(),
		Share: img.OwnerID.String(),
	}
	for _, h := range heights[:min(len(heights), ports.MaxRemoteThumbnails)] {
		job.Thumbnails = append(job.Thumbnails, ports.RemoteThumbnail{Height: h, Key: s.thumbnailKey(img, h)})
	}
	err := s.cfg.RemoteResizer.ResizeRemote(ctx, job)
	if domain.CodeOf(err) == domain.NotFound && s.restoreOriginal(ctx, img) == nil {
		err = s.cfg.RemoteResizer.ResizeRemote(ctx, job)
	}
	if err == nil {
		var b ports.Blob
		if b, err = s.storedThumbnail(ctx, img, heights[0]); err == nil {
			return readAll(b)
		}
		if errors.Is(err, errBadSeal) { // without one, as an older release makes it
			return s.resizeHere(ctx, img, heights)
		}
	}
	if domain.CodeOf(err) == domain.NotFound {
		err = s.noOriginal(ctx, img, err)
	}
	return nil, err
}

// readAll reads and closes a thumbnail's blob.
func readAll(b ports.Blob) ([]byte, error) {
	defer b.Body.Close()
	data := make([]byte, b.Size)
	if _, err := io.ReadFull(b.Body, data); err != nil {
		return nil, domain.Wrap(domain.Unavailable, err, "the thumbnail's bytes are not available")
	}
	return data, nil
}

// inflight does a thing once for all who ask at the same time. The work runs on
// a context of its own: it goes on while anybody waits, and stops when the last has left.
type inflight struct {
	base    context.Context
	mu      sync.Mutex
	m       map[bodyKey]*flight
	working sync.WaitGroup
}

// wait waits for what is under way, after base has ended.
func (f *inflight) wait() { f.working.Wait() }

type flight struct {
	done    chan struct{}
	data    []byte
	err     error
	waiting int
	cancel  context.CancelFunc
}

// recovering does the work, which runs code of adapters on a goroutine of its own: a panic
// there is this work's failure, never the process's.
func recovering(ctx context.Context, work func(context.Context) ([]byte, error)) (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			data, err = nil, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return work(ctx)
}

func (f *inflight) do(ctx context.Context, key bodyKey, work func(context.Context) ([]byte, error)) ([]byte, error) {
	f.mu.Lock()
	fl := f.m[key]
	if fl == nil {
		fl = &flight{done: make(chan struct{})}
		var own context.Context
		own, fl.cancel = context.WithTimeout(f.base, makeTimeout)
		if f.m == nil {
			f.m = map[bodyKey]*flight{}
		}
		f.m[key] = fl
		f.working.Go(func() {
			defer fl.cancel()
			fl.data, fl.err = recovering(own, work)
			if fl.err != nil && own.Err() != nil && domain.CodeOf(fl.err) == domain.Internal {
				fl.err = domain.Wrap(domain.Unavailable, fl.err, "the thumbnail took too long to make, try again")
			}
			f.mu.Lock()
			if f.m[key] == fl {
				delete(f.m, key)
			}
			f.mu.Unlock()
			close(fl.done)
		})
	}
	fl.waiting++
	f.mu.Unlock()

	select {
	case <-fl.done:
		return fl.data, fl.err
	case <-ctx.Done():
		f.mu.Lock()
		if fl.waiting--; fl.waiting == 0 {
			fl.cancel()
			if f.m[key] == fl {
				delete(f.m, key) // who comes next starts afresh
			}
		}
		f.mu.Unlock()
		return nil, domain.Wrap(domain.Unavailable, ctx.Err(), "gave up waiting for the thumbnail")
	}
}
