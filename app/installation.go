package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// A database and a store that belong together carry the same installation id, made
// when they first meet. The sweep believes a database that a blob has no record only
// if the ids agree: a database that was restored elsewhere, is another's, or is empty
// must not decide what in this store is rubbish.

// samples is how many of the newest images are looked for in a store when a database
// and a store without ids meet.
const samples = 16

// pair is both halves of the id, as they are now.
type pair struct {
	record ports.InstallationRecord
	store  domain.ID // zero: the store has none
}

func (p pair) agrees() bool { return !p.store.IsZero() && p.store == p.record.ID }

func loadPair(ctx context.Context, rec ports.Records, blobs ports.Blobs) (p pair, err error) {
	if p.record, err = rec.Installation.Load(ctx); err != nil {
		return p, err
	}
	b, err := blobs.Open(ctx, ports.InstallationKey)
	if errors.Is(err, domain.NotFound) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	defer b.Body.Close()
	text, err := io.ReadAll(io.LimitReader(b.Body, 64))
	if err != nil {
		return p, err
	}
	if p.store, err = domain.ParseID(strings.TrimSpace(string(text))); err != nil || p.store.IsZero() {
		return p, refusedPair("the store's blob %q does not hold an installation id", ports.InstallationKey)
	}
	return p, nil
}

// refusedPair says why a database and a store are not taken for a pair, and what to do.
func refusedPair(format string, args ...any) error {
	return domain.Errorf(domain.Conflict, "%s. Nothing was changed. Check IMAGIFY_DATABASE_URL and IMAGIFY_STORAGE_URL;"+
		" if these two are to belong together from now on, start once with 'imagify serve --adopt-storage'"+
		" (a database that used this store before will then be refused)", fmt.Sprintf(format, args...))
}

// judge tells whether a database and a store that do not agree may be made a pair
// without asking: only if neither has an id or anything to lose, or both are from a
// version before ids and the store holds the database's images.
func (p pair) judge(ctx context.Context, rec ports.Records, blobs ports.Blobs) error {
	switch {
	case p.agrees():
		return nil
	case !p.store.IsZero() && p.record.Confirmed:
		return refusedPair("the database is of installation %s and the store of installation %s", p.record.ID, p.store)
	case !p.store.IsZero():
		return refusedPair("the store belongs to installation %s, and the database has not been part of an installation", p.store)
	}
	images, _, err := rec.Images.ListAll(ctx, ports.TimeRange{}, ports.Page{Limit: samples})
	if err != nil {
		return err
	}
	full := false
	for _, prefix := range []string{imagesPrefix, trashPrefix} {
		some, err := blobs.List(ctx, prefix, "", 1)
		if err != nil {
			return err
		}
		full = full || len(some) > 0
	}
	switch {
	case len(images) == 0 && !full:
		return nil
	case p.record.Confirmed && !full:
		return refusedPair("the database is of installation %s and has images, and the store is empty", p.record.ID)
	case p.record.Confirmed:
		return refusedPair("the database is of installation %s, and the store holds blobs of an unknown one", p.record.ID)
	case len(images) == 0:
		return refusedPair("the store holds blobs and the database has no images")
	}
	for _, img := range images {
		b, err := blobs.Open(ctx, originalKey(img.OwnerID, img.ID))
		if err == nil {
			return b.Body.Close()
		}
		if !errors.Is(err, domain.NotFound) {
			return err
		}
	}
	return refusedPair("the database's newest images are not in the store")
}

// InspectInstallation tells whether a database and a store belong together, and
// changes nothing: the installation's id, zero where a first start will make one, or
// domain.Conflict with the reason and what to do.
func InspectInstallation(ctx context.Context, rec ports.Records, blobs ports.Blobs) (domain.ID, error) {
	p, err := loadPair(ctx, rec, blobs)
	if err != nil {
		return domain.ID{}, err
	}
	if p.agrees() {
		return p.store, nil
	}
	return domain.ID{}, p.judge(ctx, rec, blobs)
}

// CheckInstallation compares the installation ids of the database and the store, and
// gives them one where both are new or from a version before ids. domain.Conflict says
// that they do not belong together, and what to do. Any number of nodes may do so at once.
func (s *Service) CheckInstallation(ctx context.Context) error {
	p, err := loadPair(ctx, s.rec, s.cfg.Blobs)
	if err != nil || p.agrees() && p.record.Confirmed {
		return err
	}
	if err := p.judge(ctx, s.rec, s.cfg.Blobs); err != nil {
		// Another node may have made them a pair since, and keeps images already.
		if now, lerr := loadPair(ctx, s.rec, s.cfg.Blobs); lerr == nil && now.agrees() {
			return nil
		}
		return err
	}
	record, err := s.rec.Installation.Ensure(ctx, s.cfg.NewID())
	if err != nil {
		return err
	}
	if err := s.putInstallation(ctx, record.ID, true); err != nil && !errors.Is(err, domain.Conflict) {
		return err
	}
	if p, err = loadPair(ctx, s.rec, s.cfg.Blobs); err != nil {
		return err
	}
	if !p.agrees() { // another database was quicker
		return p.judge(ctx, s.rec, s.cfg.Blobs)
	}
	return s.rec.Installation.Confirm(ctx, p.store)
}

// installationText is what the store's half of the pair holds.
func installationText(id domain.ID) string { return id.String() + "\n" }

func (s *Service) putInstallation(ctx context.Context, id domain.ID, ifAbsent bool) error {
	text := installationText(id)
	return s.cfg.Blobs.Put(ctx, ports.InstallationKey, strings.NewReader(text), ports.PutOptions{
		Size: int64(len(text)), IfAbsent: ifAbsent, ContentType: "text/plain; charset=utf-8",
	})
}

// AdoptStorage makes this database and this store a pair, for admins, whatever they
// were before: both get a new id, so that a database that used the store before is
// refused from then on. It reports false, and changes nothing, if they are a pair already.
func (s *Service) AdoptStorage(ctx context.Context, actor domain.Actor) (bool, error) {
	if err := s.requireAdmin(ctx, actor, "installation.adopt"); err != nil {
		return false, err
	}
	p, err := loadPair(ctx, s.rec, s.cfg.Blobs)
	if err != nil && !errors.Is(err, domain.Conflict) { // a store's id that cannot be read is replaced
		return false, err
	}
	if err == nil && p.agrees() {
		return false, s.rec.Installation.Confirm(ctx, p.store)
	}
	id := s.cfg.NewID()
	if err := s.rec.Installation.Replace(ctx, id); err != nil {
		return false, err
	}
	if err := s.putInstallation(ctx, id, false); err != nil {
		return false, err
	}
	if err := s.rec.Installation.Confirm(ctx, id); err != nil {
		return false, err
	}
	facts := func(database, store domain.ID) map[string]any {
		return map[string]any{"database": database.String(), "store": store.String()}
	}
	return true, s.changeAccounts(ctx, func(tx ports.AccountsTx) error {
		return tx.Record(ctx, s.audit(actor, "installation.adopt", id.String(), facts(p.record.ID, p.store), facts(id, id)))
	})
}
