package metrics

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imagify-api/imagify/app"
)

// The gauges tell what the last walk found, each its own figure, and nothing before there was one.
func TestSweepGauges(t *testing.T) {
	var status app.SweepStatus
	r := prometheus.NewRegistry()
	require.NoError(t, r.Register(newSweeps(func() app.SweepStatus { return status })))
	shown := func() map[string]float64 {
		families, err := r.Gather()
		require.NoError(t, err)
		values := map[string]float64{}
		for _, f := range families {
			require.Len(t, f.GetMetric(), 1)
			values[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue()
		}
		return values
	}
	assert.Empty(t, shown())
	status.At = time.Unix(1_800_000_000, 0)
	status.Report.Blobs, status.Report.Refused, status.Report.Seen = 2, 30, 120
	status.Report.Missing, status.Report.Foreign, status.Report.TrashBlobs, status.Report.TrashBytes = 4, 5, 6, 7
	assert.Equal(t, map[string]float64{
		"imagify_sweep_last_timestamp_seconds": 1_800_000_000, "imagify_sweep_orphans": 32, "imagify_sweep_refused": 30,
		"imagify_sweep_refused_ratio": 0.25, "imagify_sweep_missing_originals": 4, "imagify_sweep_foreign_objects": 5,
		"imagify_trash_blobs": 6, "imagify_trash_bytes": 7,
	}, shown())
}
