package app

import (
	"context"
	"errors"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// ImageDetails is an image with what its owner may hand out of it.
type ImageDetails struct {
	domain.Image
	// Thumbnails are the permitted heights, ascending, and no other.
	Thumbnails []ThumbnailURL
	// Original signs the original's URL; nil without the permission.
	Original *Signature
}

// ThumbnailURL is a permitted thumbnail: the height as asked for, the size in
// pixels it really has, and what signs its URL.
type ThumbnailURL struct {
	RequestedHeight int
	Width, Height   int
	Signature       Signature
}

// urlSigner adds the URLs that images' owners are permitted now.
type urlSigner struct {
	s   *Service
	now time.Time
	// What the last image's owner may hand out, so that a list of one owner's asks once.
	owner    domain.ID
	heights  []int
	original bool
}

func (s *Service) newURLSigner() *urlSigner { return &urlSigner{s: s, now: s.now()} }

// of looks at an owner's permissions. The URLs of one who is not active would be dead.
func (v *urlSigner) of(ctx context.Context, owner domain.ID) error {
	if owner == v.owner {
		return nil
	}
	acc, err := v.s.account(ctx, owner)
	if err != nil && !errors.Is(err, domain.NotFound) {
		return err
	}
	v.owner, v.heights, v.original = owner, nil, false
	if acc.user.IsActive && !acc.user.Deleting {
		v.heights = acc.entitlements.Permissions.Heights()
		v.original = acc.entitlements.Permissions.Has(domain.AccessOriginal)
	}
	return nil
}

func (v *urlSigner) details(ctx context.Context, img domain.Image) (ImageDetails, error) {
	if err := v.of(ctx, img.OwnerID); err != nil {
		return ImageDetails{}, err
	}
	out := ImageDetails{Image: img}
	if len(v.heights) > 0 {
		out.Thumbnails = make([]ThumbnailURL, len(v.heights))
	}
	for i, h := range v.heights {
		variant, _ := domain.Thumbnail(h)
		t := &out.Thumbnails[i]
		t.RequestedHeight, t.Signature = h, v.s.sign(img.OwnerID, img.ID, variant, v.now)
		t.Width, t.Height = domain.ThumbnailSize(img.Width, img.Height, h)
	}
	if v.original {
		sig := v.s.sign(img.OwnerID, img.ID, domain.Original, v.now)
		out.Original = &sig
	}
	return out, nil
}

func (s *Service) allDetails(ctx context.Context, imgs []domain.Image) ([]ImageDetails, error) {
	out := make([]ImageDetails, len(imgs))
	v := s.newURLSigner()
	for i, img := range imgs {
		var err error
		if out[i], err = v.details(ctx, img); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ImageDetails returns an image that was just uploaded, or got otherwise, with its URLs.
func (s *Service) ImageDetails(ctx context.Context, img domain.Image) (ImageDetails, error) {
	return s.newURLSigner().details(ctx, img)
}

// Images lists the actor's images, newest first; next is the id to go on before, zero at the end.
func (s *Service) Images(ctx context.Context, actor domain.Actor, p ports.Page) (items []ImageDetails, next domain.ID, err error) {
	if err := requireSignedIn(actor); err != nil {
		return nil, next, err
	}
	imgs, next, err := paged(p, func(i domain.Image) domain.ID { return i.ID }, func(p ports.Page) ([]domain.Image, error) {
		return s.imagesOf(ctx, actor.User.ID, p)
	})
	if err != nil {
		return nil, next, err
	}
	items, err = s.allDetails(ctx, imgs)
	return items, next, err
}

// imagesOf lists an owner's images. Which there are, the database says each
// time; what is known of them already is not read again, because it never changes.
func (s *Service) imagesOf(ctx context.Context, ownerID domain.ID, p ports.Page) ([]domain.Image, error) {
	ids, err := s.rec.Images.ListIDs(ctx, ownerID, p)
	if err != nil {
		return nil, err
	}
	if imgs, known := s.knownImages(ownerID, ids); known {
		return imgs, nil
	}
	generation := s.feed.generation.Load()
	imgs, err := s.rec.Images.List(ctx, ownerID, p)
	for _, img := range imgs {
		s.images.keep(img.ID, img, generation)
	}
	return imgs, err
}

func (s *Service) knownImages(ownerID domain.ID, ids []domain.ID) ([]domain.Image, bool) {
	imgs := make([]domain.Image, len(ids))
	for i, id := range ids {
		var ok bool
		if imgs[i], ok = s.images.entries.GetIfPresent(id); !ok || imgs[i].OwnerID != ownerID {
			return nil, false
		}
	}
	return imgs, true
}

// Image returns one image that the actor may know of.
func (s *Service) Image(ctx context.Context, actor domain.Actor, id domain.ID) (ImageDetails, error) {
	img, err := s.visible(ctx, actor, id)
	if err != nil {
		return ImageDetails{}, err
	}
	return s.newURLSigner().details(ctx, img)
}

// DeleteImage deletes an image with its thumbnails and links. Every URL of it
// is dead when it returns; bytes that the store could not remove at once, the sweep removes.
func (s *Service) DeleteImage(ctx context.Context, actor domain.Actor, id domain.ID) error {
	img, err := s.visible(ctx, actor, id)
	if err != nil {
		return err
	}
	var audit *domain.AuditEntry
	if img.OwnerID != actor.User.ID {
		e := s.audit(actor, "image.delete", id.String(), map[string]any{"owner": img.OwnerID.String(), "filename": img.Filename}, nil)
		audit = &e
	}
	err = s.rec.Images.MarkDeleting(ctx, img.OwnerID, id, audit, s.now())
	s.feed.tried(err)
	s.syncFeed(ctx)
	if errors.Is(err, domain.NotFound) {
		return domain.NoSuchImage()
	}
	if err != nil {
		return err
	}
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := s.remove(c, img.OwnerID, id); err != nil {
		s.log.WarnContext(ctx, "a deleted image's bytes are left to the sweep", "image", id.String(), "error", err)
	}
	return nil
}

// remove takes away the blobs and then the record of an image that is being
// deleted: should it be interrupted, the record tells the sweep to go on.
func (s *Service) remove(ctx context.Context, ownerID, id domain.ID) error {
	if err := s.removeBlobs(ctx, ownerID, id); err != nil {
		return err
	}
	_, err := s.rec.Images.FinishDeletion(ctx, ownerID, id, s.now())
	return err
}

// Usage returns what a user keeps.
func (s *Service) Usage(ctx context.Context, actor domain.Actor) (domain.Usage, error) {
	if err := requireSignedIn(actor); err != nil {
		return domain.Usage{}, err
	}
	return s.rec.Images.Usage(ctx, actor.User.ID)
}

// Filter narrows an admin's listing.
type Filter struct {
	Username string // empty: everybody
	ports.TimeRange
}

// AllImages lists everybody's images, for admins.
func (s *Service) AllImages(ctx context.Context, actor domain.Actor, f Filter, p ports.Page) (items []ImageDetails, next domain.ID, err error) {
	if err := s.requireAdmin(ctx, actor, "admin.images"); err != nil {
		return nil, next, err
	}
	imgs, next, err := browse(ctx, s, f, p, func(i domain.Image) domain.ID { return i.ID },
		func(i domain.Image) time.Time { return i.UploadedAt }, s.imagesOf, s.rec.Images.ListAll)
	if err != nil {
		return nil, next, err
	}
	items, err = s.allDetails(ctx, imgs)
	return items, next, err
}

// idSlack is how far an id's time may be off its record's: ids of older versions carry the
// clock of the node that made them.
const idSlack = time.Hour

// browse lists one owner's things, or everybody's, within the filter's times, which are
// those of the records either way. at is a thing's.
func browse[T any](ctx context.Context, s *Service, f Filter, p ports.Page, id func(T) domain.ID, at func(T) time.Time,
	ofOwner func(context.Context, domain.ID, ports.Page) ([]T, error),
	ofAll func(context.Context, ports.TimeRange, ports.Page) ([]T, domain.ID, error),
) (items []T, next domain.ID, err error) {
	if f.Username == "" {
		return ofAll(ctx, f.TimeRange, p)
	}
	u, err := s.userByName(ctx, f.Username)
	if err != nil {
		return nil, next, err
	}
	// Ids keep what is far outside from being read.
	if !f.To.IsZero() {
		if b := domain.FirstIDAt(f.To.Add(idSlack)); p.Before.IsZero() || b.Compare(p.Before) < 0 {
			p.Before = b
		}
	}
	var first domain.ID
	if !f.From.IsZero() {
		first = domain.FirstIDAt(f.From.Add(-idSlack))
	}
	return paged(p, id, func(p ports.Page) ([]T, error) {
		var out []T
		for {
			some, err := ofOwner(ctx, u.ID, p)
			if err != nil {
				return nil, err
			}
			for _, it := range some {
				if id(it).Compare(first) < 0 || len(out) == p.Limit {
					return out, nil
				}
				if t := at(it); !t.Before(f.From) && (f.To.IsZero() || t.Before(f.To)) {
					out = append(out, it)
				}
			}
			if len(some) < p.Limit {
				return out, nil
			}
			p.Before = id(some[len(some)-1])
		}
	})
}

// eachImage calls fn for every image of an owner, or with the zero owner for everybody's, newest
// first, from before on (zero: from the newest).
func eachImage(ctx context.Context, all ports.Images, owner, before domain.ID, fn func(domain.Image) error) error {
	page := ports.Page{Before: before, Limit: 500}
	for {
		var images []domain.Image
		var next domain.ID // zero at the end
		var err error
		if owner.IsZero() {
			images, next, err = all.ListAll(ctx, ports.TimeRange{}, page)
		} else if images, err = all.List(ctx, owner, page); len(images) == page.Limit {
			next = images[len(images)-1].ID
		}
		if err != nil {
			return err
		}
		for _, img := range images {
			if err := fn(img); err != nil {
				return err
			}
		}
		if next.IsZero() {
			return nil
		}
		if !page.Before.IsZero() && next.Compare(page.Before) >= 0 {
			return errors.New("app: the list of images repeats itself")
		}
		page.Before = next
	}
}
