package bunrepo

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

type images struct{ *repo }

func (s images) Get(ctx context.Context, ownerID, id domain.ID) (domain.Image, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var row imageRow
	if err := s.o.Read.NewSelect().Model(&row).Where("owner_id = ?", ownerID[:]).Where("id = ?", id[:]).Scan(ctx); err != nil {
		return domain.Image{}, s.notFound(err, "image")
	}
	return row.image(), nil
}

func (s images) Owner(ctx context.Context, id domain.ID) (domain.ID, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var owner []byte
	err := s.o.Read.NewSelect().Model((*imageOwnerRow)(nil)).Column("owner_id").Where("id = ?", id[:]).Scan(ctx, &owner)
	if err != nil {
		return domain.ID{}, s.notFound(err, "image")
	}
	return toID(owner), nil
}

// List is one descending range of the primary key, at the first image as at the
// ten-millionth: nothing but ready images is in the table.
func (s images) List(ctx context.Context, ownerID domain.ID, p ports.Page) ([]domain.Image, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := checkLimit(p.Limit); err != nil {
		return nil, err
	}
	rows, err := s.list(ctx, ownerID, p, "id", "filename", "size", "sha256", "format", "width", "height", "frames", "alpha", "placeholder", "uploaded_at")
	if err != nil {
		return nil, s.fail(err)
	}
	// The most frequent list is read by hand: bun's way costs half as much again.
	out, err := scanImages(rows, ownerID, p.Limit)
	if err = errors.Join(err, rows.Close()); err != nil {
		return nil, s.fail(err)
	}
	return out, nil
}

// list reads columns of a page of an owner's images.
func (s images) list(ctx context.Context, ownerID domain.ID, p ports.Page, columns ...string) (*sql.Rows, error) {
	q := s.o.Read.NewSelect().Model((*imageRow)(nil)).ForceIndex("PRIMARY").Where("owner_id = ?", ownerID[:]).Column(columns...)
	return page(q, "id", p).Rows(ctx)
}

func (s images) ListIDs(ctx context.Context, ownerID domain.ID, p ports.Page) ([]domain.ID, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := checkLimit(p.Limit); err != nil {
		return nil, err
	}
	rows, err := s.list(ctx, ownerID, p, "id")
	if err != nil {
		return nil, s.fail(err)
	}
	out := make([]domain.ID, 0, min(p.Limit, maxPage))
	var id sql.RawBytes
	for err == nil && rows.Next() {
		if err = rows.Scan(&id); err == nil {
			out = append(out, toID(id))
		}
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return nil, s.fail(err)
	}
	return out, nil
}

// maxPage is for how many images room is made at once: the largest page of the API, and one more.
const maxPage = 101

func scanImages(rows *sql.Rows, ownerID domain.ID, limit int) ([]domain.Image, error) {
	var (
		out                   = make([]domain.Image, 0, min(limit, maxPage))
		row                   imageRow
		id, hash, placeholder sql.RawBytes // valid until the next row: image copies them
	)
	for rows.Next() {
		err := rows.Scan(&id, &row.Filename, &row.Size, &hash, &row.Format, &row.Width, &row.Height, &row.Frames, &row.Alpha,
			&placeholder, &row.UploadedAt)
		if err != nil {
			return nil, err
		}
		row.OwnerID, row.ID, row.SHA256, row.Placeholder = ownerID[:], id, hash, placeholder
		out = append(out, row.image())
	}
	return out, rows.Err()
}

func (s images) ListAll(ctx context.Context, t ports.TimeRange, p ports.Page) ([]domain.Image, domain.ID, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := checkLimit(p.Limit); err != nil {
		return nil, domain.ID{}, err
	}
	var found []imageOwnerRow
	q := within(s.o.Read.NewSelect().Model(&found).ForceIndex("PRIMARY"), "id", "uploaded_at", t)
	// One more than asked for tells whether more follow.
	if err := page(q, "id", ports.Page{Before: p.Before, Limit: p.Limit + 1}).Scan(ctx); err != nil {
		return nil, domain.ID{}, s.fail(err)
	}
	var next domain.ID
	if len(found) > p.Limit {
		found = found[:p.Limit]
		next = toID(found[p.Limit-1].ID)
	}
	byOwner := make(map[domain.ID][][]byte)
	for _, f := range found {
		owner := toID(f.OwnerID)
		byOwner[owner] = append(byOwner[owner], f.ID)
	}
	byID := make(map[domain.ID]domain.Image, len(found))
	for owner, ids := range byOwner {
		var rows []imageRow
		err := s.o.Read.NewSelect().Model(&rows).Where("owner_id = ?", owner[:]).Where("id IN (?)", bun.List(ids)).Scan(ctx)
		if err != nil {
			return nil, domain.ID{}, s.fail(err)
		}
		for _, row := range rows {
			img := row.image()
			byID[img.ID] = img
		}
	}
	out := make([]domain.Image, 0, len(found))
	for _, f := range found {
		if img, ok := byID[toID(f.ID)]; ok { // else it was deleted in between
			out = append(out, img)
		}
	}
	return out, next, nil
}

func (s images) Usage(ctx context.Context, ownerID domain.ID) (domain.Usage, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var u domain.Usage
	err := s.o.Read.NewRaw("SELECT images, bytes FROM usages WHERE owner_id = ?", ownerID[:]).Scan(ctx, &u.Images, &u.Bytes)
	if errors.Is(err, sql.ErrNoRows) {
		return domain.Usage{}, nil
	}
	return u, s.fail(err)
}

func reservationLost() error {
	return domain.Errorf(domain.Conflict, "the upload took too long and was given up; upload again")
}

func hasKey(u ports.Upload) bool { return u.Key != domain.SecretHash{} }

func (s images) BeginUpload(ctx context.Context, u ports.Upload, now time.Time) (ports.Reservation, error) {
	reservation := ports.Reservation{State: ports.ReservationWon}
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		reservation = ports.Reservation{State: ports.ReservationWon}
		if hasKey(u) {
			var err error
			if reservation, err = s.reserve(ctx, t, u, now); err != nil || reservation.State != ports.ReservationWon {
				return err
			}
		}
		row := unfinishedRow{ID: u.ImageID[:], OwnerID: u.OwnerID[:], State: string(domain.ImagePending), LeaseUntil: toMicros(u.LeaseUntil)}
		_, err := t.NewInsert().Model(&row).Exec(ctx)
		if s.duplicate(err) {
			return domain.Wrap(domain.Conflict, err, "the image id is taken")
		}
		return err
	})
	if err != nil {
		return ports.Reservation{}, err
	}
	return reservation, nil
}

// forgetKeys is how many of an owner's outdated keys a new one removes.
const forgetKeys = 20

func (s images) reserve(ctx context.Context, t *tx, u ports.Upload, now time.Time) (ports.Reservation, error) {
	oldest := toMicros(now.Add(-ports.KeyRetention))
	var old [][]byte
	err := t.NewSelect().Model((*keyRow)(nil)).Column("key_hash").Where("owner_id = ?", u.OwnerID[:]).
		Where("created_at <= ?", oldest).OrderBy("created_at", bun.OrderAsc).Limit(int64(forgetKeys)).Scan(ctx, &old)
	if err == nil && len(old) > 0 {
		_, err = t.exec(ctx, "DELETE FROM idempotency WHERE owner_id = ? AND key_hash IN (?) AND created_at <= ?", u.OwnerID[:], bun.List(old), oldest)
	}
	if err != nil {
		return ports.Reservation{}, err
	}
	mine := keyRow{
		OwnerID: u.OwnerID[:], KeyHash: u.Key[:], ImageID: u.ImageID[:], SHA256: make([]byte, 32),
		LeaseUntil: toMicros(u.LeaseUntil), CreatedAt: toMicros(now),
	}
	var row keyRow
	err = t.NewRaw(s.lock("SELECT image_id, done, sha256, lease_until, created_at FROM idempotency WHERE owner_id = ? AND key_hash = ?"),
		u.OwnerID[:], u.Key[:]).Scan(ctx, &row.ImageID, &row.Done, &row.SHA256, &row.LeaseUntil, &row.CreatedAt)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		if _, err = t.NewInsert().Model(&mine).Exec(ctx); s.duplicate(err) {
			err = errLostRace
		}
		return ports.Reservation{State: ports.ReservationWon}, err
	case err != nil:
		return ports.Reservation{}, err
	case row.CreatedAt <= oldest, !row.Done && row.LeaseUntil < toMicros(now):
		_, err = t.NewUpdate().Model(&mine).WherePK().Exec(ctx)
		return ports.Reservation{State: ports.ReservationWon}, err
	case row.Done:
		c := ports.Reservation{State: ports.ReservationDone, ImageID: toID(row.ImageID)}
		copy(c.SHA256[:], row.SHA256)
		return c, nil
	}
	return ports.Reservation{State: ports.ReservationBusy}, nil
}

func (s images) RenewUpload(ctx context.Context, u ports.Upload, leaseUntil time.Time) error {
	return s.write(ctx, func(ctx context.Context, t *tx) error {
		if hasKey(u) {
			n, err := t.exec(ctx, "UPDATE idempotency SET lease_until = ? WHERE owner_id = ? AND key_hash = ? AND image_id = ? AND done = ?",
				toMicros(leaseUntil), u.OwnerID[:], u.Key[:], u.ImageID[:], false)
			if err != nil {
				return err
			}
			if n == 0 {
				return reservationLost()
			}
		}
		n, err := t.exec(ctx, "UPDATE unfinished SET lease_until = ? WHERE id = ? AND owner_id = ? AND state = ?",
			toMicros(leaseUntil), u.ImageID[:], u.OwnerID[:], string(domain.ImagePending))
		if err == nil && n == 0 {
			err = reservationLost()
		}
		return err
	})
}

func (s images) CommitUpload(ctx context.Context, u ports.Upload, img domain.Image, q ports.Quota) error {
	if err := checkText(img.Filename); err != nil {
		return err
	}
	img.ID, img.OwnerID, img.UploadedAt = u.ImageID, u.OwnerID, u.UploadedAt
	return s.write(ctx, func(ctx context.Context, t *tx) error {
		if hasKey(u) {
			n, err := t.exec(ctx, "UPDATE idempotency SET done = ?, sha256 = ? WHERE owner_id = ? AND key_hash = ? AND image_id = ? AND done = ?",
				true, img.SHA256[:], u.OwnerID[:], u.Key[:], u.ImageID[:], false)
			if err != nil {
				return err
			}
			if n == 0 {
				return reservationLost()
			}
		}
		n, err := t.exec(ctx, "DELETE FROM unfinished WHERE id = ? AND owner_id = ? AND state = ?",
			u.ImageID[:], u.OwnerID[:], string(domain.ImagePending))
		if err != nil {
			return err
		}
		if n == 0 {
			return reservationLost()
		}
		if err := s.take(ctx, t, u.OwnerID, img.Size, q); err != nil {
			return err
		}
		if err := s.checkOwner(ctx, t, u.OwnerID); err != nil {
			return err
		}
		row := newImageRow(img)
		if err := t.deferInsert(ctx, &row); err != nil {
			return err
		}
		return t.deferInsert(ctx, &imageOwnerRow{ID: row.ID, OwnerID: row.OwnerID, UploadedAt: row.UploadedAt})
	})
}

// checkOwner refuses an owner who is gone or not active. The row stays locked until the
// transaction ends, so that a deletion or deactivation of the owner comes before it or
// finds its image. It is read after the owner's usage, as a deletion goes through them.
func (s images) checkOwner(ctx context.Context, t *tx, owner domain.ID) error {
	var active, deleting bool
	err := t.NewRaw(s.lock("SELECT is_active, deleting FROM users WHERE id = ?"), owner[:]).Scan(ctx, &active, &deleting)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	if err != nil || !active || deleting {
		return domain.Errorf(domain.Denied, "the account is not active")
	}
	return nil
}

// take adds one image to the owner's usage, or tells which bound it would exceed.
func (s images) take(ctx context.Context, t *tx, owner domain.ID, size int64, q ports.Quota) error {
	n, err := t.exec(ctx, "UPDATE usages SET images = images + 1, bytes = bytes + ? WHERE owner_id = ? AND images < ? AND bytes <= ?",
		size, owner[:], q.MaxImages.Max(), q.MaxBytes.Max()-size)
	if err != nil || n > 0 {
		return err
	}
	// No row yet, or no room: the usual case needs one statement, this one may take its time.
	var used domain.Usage
	err = t.NewRaw(s.lock("SELECT images, bytes FROM usages WHERE owner_id = ?"), owner[:]).Scan(ctx, &used.Images, &used.Bytes)
	fresh := errors.Is(err, sql.ErrNoRows)
	if err != nil && !fresh {
		return err
	}
	exceeds := func(limit domain.Limit, used int64, what string) error {
		e := domain.LimitError(domain.QuotaExceeded, int64(limit), "your tier keeps at most %d %s", int64(limit), what)
		e.Used = &used
		return e
	}
	switch {
	case !q.MaxImages.Allows(used.Images + 1):
		return exceeds(q.MaxImages, used.Images, "images")
	case used.Bytes > q.MaxBytes.Max()-size:
		return exceeds(q.MaxBytes, used.Bytes, "bytes")
	case !fresh:
		return errLostRace // a deletion made room meanwhile
	}
	_, err = t.exec(ctx, "INSERT INTO usages (owner_id, images, bytes) VALUES (?, 1, ?)", owner[:], size)
	if s.duplicate(err) {
		return errLostRace
	}
	return err
}

func (s images) AbortUpload(ctx context.Context, u ports.Upload) error {
	return s.write(ctx, func(ctx context.Context, t *tx) error {
		if hasKey(u) {
			_, err := t.exec(ctx, "DELETE FROM idempotency WHERE owner_id = ? AND key_hash = ? AND image_id = ? AND done = ?",
				u.OwnerID[:], u.Key[:], u.ImageID[:], false)
			if err != nil {
				return err
			}
		}
		_, err := t.exec(ctx, "DELETE FROM unfinished WHERE id = ? AND owner_id = ? AND state = ?",
			u.ImageID[:], u.OwnerID[:], string(domain.ImagePending))
		return err
	})
}

func (s images) MarkDeleting(ctx context.Context, ownerID, id domain.ID, audit *domain.AuditEntry, now time.Time) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		var size int64
		err := t.NewRaw(s.lock("SELECT size FROM images WHERE owner_id = ? AND id = ?"), ownerID[:], id[:]).Scan(ctx, &size)
		if err != nil {
			return s.notFound(err, "image")
		}
		for _, q := range []struct {
			text string
			args []any
		}{
			{"DELETE FROM images WHERE owner_id = ? AND id = ?", []any{ownerID[:], id[:]}},
			{"DELETE FROM image_owners WHERE id = ?", []any{id[:]}},
			{"UPDATE usages SET images = images - 1, bytes = bytes - ? WHERE owner_id = ?", []any{size, ownerID[:]}},
		} {
			if err := t.deferExec(ctx, q.text, q.args...); err != nil {
				return err
			}
		}
		row := unfinishedRow{ID: id[:], OwnerID: ownerID[:], State: string(domain.ImageDeleting), LeaseUntil: toMicros(now)}
		if err := t.deferInsert(ctx, &row); err != nil {
			return err
		}
		t.announce(ownerID, ports.Change{Kind: ports.ImageDeleted, ID: id})
		return t.record(ctx, audit)
	})
}

func (s images) FinishDeletion(ctx context.Context, ownerID, id domain.ID, now time.Time) (finished bool, err error) {
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, "DELETE FROM unfinished WHERE id = ? AND owner_id = ? AND (state = ? OR lease_until < ?)",
			id[:], ownerID[:], string(domain.ImageDeleting), toMicros(now))
		finished = n > 0
		return err
	})
	return finished && err == nil, err
}

// Recount holds the owner's usage while it counts. An upload changes the usage before it adds
// its image, so one that is not counted waits; what a deletion takes off, it takes off after.
func (s images) RecountUsage(ctx context.Context, ownerID domain.ID) (was domain.Usage, err error) {
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		was = domain.Usage{}
		err := t.NewRaw(s.lock("SELECT images, bytes FROM usages WHERE owner_id = ?"), ownerID[:]).Scan(ctx, &was.Images, &was.Bytes)
		if errors.Is(err, sql.ErrNoRows) {
			_, err = t.exec(ctx, "INSERT INTO usages (owner_id, images, bytes) VALUES (?, 0, 0)", ownerID[:])
			if s.duplicate(err) {
				return errLostRace
			}
		}
		if err != nil {
			return err
		}
		var is domain.Usage
		err = t.NewRaw("SELECT COUNT(*), COALESCE(SUM(size), 0) FROM images WHERE owner_id = ?", ownerID[:]).Scan(ctx, &is.Images, &is.Bytes)
		if err != nil || is == was {
			return err
		}
		_, err = t.exec(ctx, "UPDATE usages SET images = ?, bytes = ? WHERE owner_id = ?", is.Images, is.Bytes, ownerID[:])
		return err
	})
	return was, err
}

func (s images) DueDeletions(ctx context.Context, now time.Time, after domain.ID, limit int) ([]ports.DueImage, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := checkLimit(limit); err != nil {
		return nil, err
	}
	var rows []unfinishedRow
	err := s.o.Read.NewSelect().Model(&rows).ForceIndex("PRIMARY").Where("id > ?", after[:]).
		Where("(state = ? OR lease_until < ?)", string(domain.ImageDeleting), toMicros(now)).
		OrderBy("id", bun.OrderAsc).Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, s.fail(err)
	}
	out := make([]ports.DueImage, len(rows))
	for i, row := range rows {
		out[i] = ports.DueImage{OwnerID: toID(row.OwnerID), ID: toID(row.ID), State: domain.ImageState(row.State)}
	}
	return out, nil
}

// State asks both tables in one statement: an image that moves from one to the
// other is in either, never in neither.
func (s images) State(ctx context.Context, ownerID, id domain.ID) (domain.ImageState, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var state string
	err := s.o.Read.NewRaw("SELECT state FROM unfinished WHERE id = ? AND owner_id = ?"+
		" UNION ALL SELECT ? FROM images WHERE owner_id = ? AND id = ?",
		id[:], ownerID[:], string(domain.ImageReady), ownerID[:], id[:]).Scan(ctx, &state)
	if err != nil {
		return "", s.notFound(err, "image")
	}
	return domain.ImageState(state), nil
}

// States asks both tables in one statement, as State does.
func (s images) States(ctx context.Context, ownerID domain.ID, ids []domain.ID) (map[domain.ID]domain.ImageState, error) {
	states := make(map[domain.ID]domain.ImageState, len(ids))
	for part := range slices.Chunk(ids, chunk) {
		if err := s.states(ctx, ownerID, part, states); err != nil {
			return nil, s.fail(err)
		}
	}
	return states, nil
}

func (s images) states(ctx context.Context, ownerID domain.ID, ids []domain.ID, into map[domain.ID]domain.ImageState) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	values := make([][]byte, len(ids))
	for i, id := range ids {
		values[i] = id[:]
	}
	var rows []struct {
		ID    []byte
		State string
	}
	err := s.o.Read.NewRaw("SELECT id, state FROM unfinished WHERE id IN (?) AND owner_id = ?"+
		" UNION ALL SELECT id, ? FROM images WHERE owner_id = ? AND id IN (?)",
		bun.List(values), ownerID[:], string(domain.ImageReady), ownerID[:], bun.List(values)).Scan(ctx, &rows)
	for _, row := range rows {
		into[toID(row.ID)] = domain.ImageState(row.State)
	}
	return err
}

func (s images) Ownerless(ctx context.Context, after domain.ID, limit int) (found []ports.DueImage, next domain.ID, err error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := checkLimit(limit); err != nil {
		return nil, next, err
	}
	var seen []imageOwnerRow
	err = s.o.Read.NewSelect().Model(&seen).ForceIndex("PRIMARY").Column("id", "owner_id").Where("id > ?", after[:]).
		OrderBy("id", bun.OrderAsc).Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, next, s.fail(err)
	}
	owners := map[domain.ID]bool{} // true: has a record
	for _, row := range seen {
		owners[toID(row.OwnerID)] = false
	}
	for part := range slices.Chunk(slices.Collect(maps.Keys(owners)), chunk) {
		values := make([][]byte, len(part))
		for i, id := range part {
			values[i] = id[:]
		}
		var there [][]byte
		if err := s.o.Read.NewRaw("SELECT id FROM users WHERE id IN (?)", bun.List(values)).Scan(ctx, &there); err != nil {
			return nil, next, s.fail(err)
		}
		for _, id := range there {
			owners[toID(id)] = true
		}
	}
	for _, row := range seen {
		if owner := toID(row.OwnerID); !owners[owner] {
			found = append(found, ports.DueImage{OwnerID: owner, ID: toID(row.ID), State: domain.ImageReady})
		}
	}
	if len(seen) == limit {
		next = toID(seen[limit-1].ID)
	}
	return found, next, nil
}
