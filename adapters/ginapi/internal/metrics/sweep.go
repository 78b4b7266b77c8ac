package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/imagify-api/imagify/app"
)

// sweeps tells of the newest walk of the store that this process has made; one
// node at a time sweeps, so the others show nothing.
type sweeps struct {
	status func() app.SweepStatus
	series []sweepSeries
}

type sweepSeries struct {
	desc  *prometheus.Desc
	value func(app.SweepStatus) float64
}

func newSweeps(status func() app.SweepStatus) *sweeps {
	m := &sweeps{status: status}
	add := func(name, help string, value func(app.SweepStatus) float64) {
		m.series = append(m.series, sweepSeries{prometheus.NewDesc("imagify_"+name, help, nil, nil), value})
	}
	add("sweep_last_timestamp_seconds", "When this process last walked the whole store.", func(s app.SweepStatus) float64 { return float64(s.At.Unix()) })
	add("sweep_orphans", "Blobs without a record that the last walk found, whether it moved them to the trash or stopped.", func(s app.SweepStatus) float64 {
		return float64(s.Report.Blobs + s.Report.Refused)
	})
	add("sweep_refused", "Blobs and images that the last walk left alone because they were more than a sweep may take by itself.", func(s app.SweepStatus) float64 {
		return float64(s.Report.Refused)
	})
	add("sweep_refused_ratio", "The same as a share of what the last walk saw.", func(s app.SweepStatus) float64 {
		return float64(s.Report.Refused) / float64(max(s.Report.Seen, s.Report.Refused, 1))
	})
	add("sweep_missing_originals", "Images whose original the last walk did not find.", func(s app.SweepStatus) float64 { return float64(s.Report.Missing) })
	add("sweep_foreign_objects", "Objects in the store that are not imagify's.", func(s app.SweepStatus) float64 { return float64(s.Report.Foreign) })
	add("trash_blobs", "Blobs in the trash after the last walk.", func(s app.SweepStatus) float64 { return float64(s.Report.TrashBlobs) })
	add("trash_bytes", "Bytes in the trash after the last walk.", func(s app.SweepStatus) float64 { return float64(s.Report.TrashBytes) })
	return m
}

func (m *sweeps) Describe(out chan<- *prometheus.Desc) {
	for _, s := range m.series {
		out <- s.desc
	}
}

func (m *sweeps) Collect(out chan<- prometheus.Metric) {
	status := m.status()
	if status.At.IsZero() {
		return
	}
	for _, s := range m.series {
		out <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, s.value(status))
	}
}
