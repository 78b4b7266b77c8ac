package bunrepo

import (
	"context"
	"database/sql"
	"errors"

	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// installationRow is the only row of its table.
type installationRow struct {
	bun.BaseModel `bun:"table:installation,alias:installation"`

	Row            int    `bun:"row_id,pk"`
	InstallationID []byte `bun:"installation_id"`
	Confirmed      bool   `bun:"confirmed"`
	Sweep          string `bun:"sweep"`
}

const onlyRow = 1

type installation struct{ *repo }

// Load asks the handle that writes: what it answers decides whether this database may
// touch the store, so it must not be an older state than the one just written.
func (s installation) Load(ctx context.Context) (ports.InstallationRecord, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	row := installationRow{Row: onlyRow}
	err := s.db.NewSelect().Model(&row).WherePK().Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return ports.InstallationRecord{}, nil
	}
	if err != nil {
		return ports.InstallationRecord{}, s.fail(err)
	}
	return ports.InstallationRecord{ID: toID(row.InstallationID), Confirmed: row.Confirmed, Sweep: row.Sweep}, nil
}

func (s installation) Ensure(ctx context.Context, id domain.ID) (ports.InstallationRecord, error) {
	if found, err := s.Load(ctx); err != nil || !found.ID.IsZero() {
		return found, err
	}
	if err := s.add(ctx, id); err != nil && !s.duplicate(err) {
		return ports.InstallationRecord{}, s.fail(err)
	}
	return s.Load(ctx)
}

func (s installation) add(ctx context.Context, id domain.ID) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.insert(ctx, &installationRow{Row: onlyRow, InstallationID: id[:]})
}

func (s installation) Confirm(ctx context.Context, id domain.ID) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	n, err := s.exec(ctx, "UPDATE installation SET confirmed = ? WHERE row_id = ? AND installation_id = ?", true, onlyRow, id[:])
	if err == nil && n == 0 {
		return domain.Errorf(domain.Conflict, "the database has another installation id")
	}
	return s.fail(err)
}

func (s installation) Replace(ctx context.Context, id domain.ID) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	replace := func() (int64, error) {
		return s.exec(ctx, "UPDATE installation SET installation_id = ?, confirmed = ?, sweep = ? WHERE row_id = ?", id[:], false, "", onlyRow)
	}
	n, err := replace()
	if err == nil && n == 0 {
		if err = s.add(ctx, id); s.duplicate(err) { // written in this moment
			_, err = replace()
		}
	}
	return s.fail(err)
}

func (s installation) SaveSweep(ctx context.Context, progress string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if err := checkText(progress); err != nil {
		return err
	}
	if len(progress) > ports.MaxSweepProgress {
		return domain.Errorf(domain.Invalid, "the sweep's progress is longer than %d bytes", ports.MaxSweepProgress)
	}
	n, err := s.exec(ctx, "UPDATE installation SET sweep = ? WHERE row_id = ?", progress, onlyRow)
	if err == nil && n == 0 {
		return domain.Errorf(domain.NotFound, "no such installation")
	}
	return s.fail(err)
}
