package memory

import (
	"context"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

type installation struct{ r *records }

// Load implements ports.Installation.
func (p installation) Load(ctx context.Context) (ports.InstallationRecord, error) {
	if err := ended(ctx); err != nil {
		return ports.InstallationRecord{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	return p.r.installation, nil
}

// Ensure implements ports.Installation.
func (p installation) Ensure(ctx context.Context, id domain.ID) (ports.InstallationRecord, error) {
	if err := ended(ctx); err != nil {
		return ports.InstallationRecord{}, err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if p.r.installation.ID.IsZero() {
		p.r.installation = ports.InstallationRecord{ID: id}
	}
	return p.r.installation, nil
}

// Confirm implements ports.Installation.
func (p installation) Confirm(ctx context.Context, id domain.ID) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if p.r.installation.ID.IsZero() || p.r.installation.ID != id {
		return domain.Errorf(domain.Conflict, "the database has another installation id")
	}
	p.r.installation.Confirmed = true
	return nil
}

// Replace implements ports.Installation.
func (p installation) Replace(ctx context.Context, id domain.ID) error {
	if err := ended(ctx); err != nil {
		return err
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	p.r.installation = ports.InstallationRecord{ID: id}
	return nil
}

// SaveSweep implements ports.Installation.
func (p installation) SaveSweep(ctx context.Context, progress string) error {
	if err := ended(ctx); err != nil {
		return err
	}
	if len(progress) > ports.MaxSweepProgress {
		return domain.Errorf(domain.Invalid, "the sweep's progress is longer than %d bytes", ports.MaxSweepProgress)
	}
	p.r.mu.Lock()
	defer p.r.mu.Unlock()
	if p.r.installation.ID.IsZero() {
		return domain.Errorf(domain.NotFound, "no such installation")
	}
	p.r.installation.Sweep = progress
	return nil
}
