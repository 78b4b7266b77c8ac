package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/imagify-api/imagify/adapters/ginapi"
	"github.com/imagify-api/imagify/app"
	"github.com/imagify-api/imagify/domain"
)

// sweepMinAge leaves what a function of another release may be putting alone.
const sweepMinAge = 15 * time.Minute

// api is the whole of imagify in one environment.
type api struct {
	svc *app.Service
	web web
}

// newAPI makes the API on opened backends. There is one at most in a process: what it
// starts ends with the environment.
func newAPI(ctx context.Context, backends app.Config, o ginapi.Options, adminPassword string) (*api, error) {
	backends.Caps.UploadBytes = maxUpload
	backends.SweepEvery = -1 // a schedule's: between two events an environment stands still
	svc, err := app.New(backends)
	if err != nil {
		return nil, err
	}
	server, err := ginapi.New(svc, o)
	if err != nil {
		return nil, errors.Join(err, svc.Close())
	}
	if adminPassword == "" {
		// A generated password would end up in a log.
		if err = svc.CheckInstallation(ctx); err == nil {
			err = svc.BootstrapTiers(ctx)
		}
	} else {
		_, err = svc.Bootstrap(ctx, adminPassword)
	}
	if err != nil {
		return nil, errors.Join(err, svc.Close())
	}
	return &api{svc: svc, web: web{within{svc, server}}}, nil
}

// within does in each event what a server does in the background. Between two events an
// environment stands still, at any point of what runs there: a transaction that were open
// then would keep others waiting until it is thawed.
type within struct {
	svc  *app.Service
	next http.Handler
}

// stepTime bounds what is done beside an event's own work.
const stepTime = 3 * time.Second

func (h within) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.step(r.Context())
	defer h.step(r.Context()) // before the answer ends, and with it the event
	h.next.ServeHTTP(w, r)
}

func (h within) step(ctx context.Context) {
	c, cancel := context.WithTimeout(context.WithoutCancel(ctx), stepTime)
	defer cancel()
	if err := h.svc.Step(c); err != nil {
		slog.WarnContext(ctx, "could not follow the changes, or write view counts; the next event tries again", "error", err)
	}
}

// sweep answers the event {"sweep":{}}, for a schedule to send.
func (a *api) sweep(ctx context.Context, _ []byte) (any, error) {
	report, err := a.svc.Sweep(ctx, domain.SystemActor("schedule"), app.SweepOptions{MinAge: sweepMinAge})
	slog.InfoContext(ctx, "swept", slog.Any("report", report))
	return report, err
}
