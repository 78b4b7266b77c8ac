package porttest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Installation is the suite of ports.Installation.
func Installation(t *testing.T, newRecords func(t *testing.T) ports.Records) {
	t.Helper()
	runStories(t, "Installation", newRecords, []story{
		{"EnsureAndConfirm", installationEnsure},
		{"EnsureRacers", installationRacers},
		{"Replace", installationReplace},
		{"SaveSweep", installationSweep},
		{"EndedContext", installationEnded},
	})
}

func (w *world) wantInstallation(want ports.InstallationRecord) {
	w.t.Helper()
	got, err := w.Installation.Load(w.ctx)
	require.NoError(w.t, err)
	require.Equal(w.t, want, got)
}

func (w *world) claimID(id, want domain.ID) {
	w.t.Helper()
	got, err := w.Installation.Ensure(w.ctx, id)
	require.NoError(w.t, err)
	require.Equal(w.t, want, got.ID, "the id that is there after Ensure")
}

func installationEnsure(w *world) {
	one, two := w.id(epoch), w.id(epoch)
	w.wantInstallation(ports.InstallationRecord{})
	wantCode(w.t, domain.Conflict, w.Installation.Confirm(w.ctx, one), "there is no record")
	w.wantInstallation(ports.InstallationRecord{})
	w.claimID(one, one)
	w.wantInstallation(ports.InstallationRecord{ID: one})
	w.claimID(two, one)
	wantCode(w.t, domain.Conflict, w.Installation.Confirm(w.ctx, two), "another id")
	w.wantInstallation(ports.InstallationRecord{ID: one})
	require.NoError(w.t, w.Installation.Confirm(w.ctx, one))
	require.NoError(w.t, w.Installation.Confirm(w.ctx, one), "a second time")
	w.wantInstallation(ports.InstallationRecord{ID: one, Confirmed: true})
	got, err := w.Installation.Ensure(w.ctx, two)
	require.NoError(w.t, err)
	require.Equal(w.t, ports.InstallationRecord{ID: one, Confirmed: true}, got, "Ensure changes nothing that is there")
}

func installationRacers(w *world) {
	mine, got, errs := make([]domain.ID, racers), make([]ports.InstallationRecord, racers), make([]error, racers)
	for i := range mine {
		mine[i] = w.id(epoch)
	}
	race(racers, func(i int) { got[i], errs[i] = w.Installation.Ensure(w.ctx, mine[i]) })
	require.NoError(w.t, errors.Join(errs...))
	require.Contains(w.t, mine, got[0].ID)
	for i := range got {
		require.Equal(w.t, got[0].ID, got[i].ID, "all learn the same id")
	}
	w.wantInstallation(ports.InstallationRecord{ID: got[0].ID})
}

func installationReplace(w *world) {
	one, two, three := w.id(epoch), w.id(epoch), w.id(epoch)
	require.NoError(w.t, w.Installation.Replace(w.ctx, one), "where there is none")
	w.wantInstallation(ports.InstallationRecord{ID: one})
	require.NoError(w.t, w.Installation.Confirm(w.ctx, one))
	require.NoError(w.t, w.Installation.SaveSweep(w.ctx, "half"))
	require.NoError(w.t, w.Installation.Replace(w.ctx, two))
	w.wantInstallation(ports.InstallationRecord{ID: two})
	w.claimID(three, two)
	wantCode(w.t, domain.Conflict, w.Installation.Confirm(w.ctx, one))
}

func installationSweep(w *world) {
	id := w.id(epoch)
	wantCode(w.t, domain.NotFound, w.Installation.SaveSweep(w.ctx, "x"), "there is no record")
	w.wantInstallation(ports.InstallationRecord{})
	w.claimID(id, id)
	for _, text := range []string{"images/a", strings.Repeat("z", ports.MaxSweepProgress), `{"after":"\"'%_"}`, ""} {
		require.NoError(w.t, w.Installation.SaveSweep(w.ctx, text))
		require.NoError(w.t, w.Installation.SaveSweep(w.ctx, text), "the same again")
		w.wantInstallation(ports.InstallationRecord{ID: id, Sweep: text})
	}
	wantCode(w.t, domain.Invalid, w.Installation.SaveSweep(w.ctx, strings.Repeat("z", ports.MaxSweepProgress+1)))
	require.NoError(w.t, w.Installation.SaveSweep(w.ctx, "kept"))
	require.NoError(w.t, w.Installation.Confirm(w.ctx, id))
	w.wantInstallation(ports.InstallationRecord{ID: id, Confirmed: true, Sweep: "kept"})
}

func installationEnded(w *world) {
	id, other := w.id(epoch), w.id(epoch)
	w.claimID(id, id)
	wantAllEnded(w.t, []call{
		{"Load", func(ctx context.Context) error { _, err := w.Installation.Load(ctx); return err }},
		{"Ensure", func(ctx context.Context) error { _, err := w.Installation.Ensure(ctx, other); return err }},
		{"Confirm", func(ctx context.Context) error { return w.Installation.Confirm(ctx, id) }},
		{"Replace", func(ctx context.Context) error { return w.Installation.Replace(ctx, other) }},
		{"SaveSweep", func(ctx context.Context) error { return w.Installation.SaveSweep(ctx, "x") }},
	})
	w.wantInstallation(ports.InstallationRecord{ID: id})
}
