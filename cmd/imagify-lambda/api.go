package main

import (
	"context"
	"errors"
	"log/slog"
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
	// The change feed's poll: it goes on when an environment is thawed, and a decision
	// that is older than the last poll reads the database.
	go svc.Run(context.WithoutCancel(ctx))
	return &api{svc: svc, web: web{server}}, nil
}

// sweep answers the event {"sweep":{}}, for a schedule to send.
func (a *api) sweep(ctx context.Context, _ []byte) (any, error) {
	report, err := a.svc.Sweep(ctx, domain.SystemActor("schedule"), app.SweepOptions{MinAge: sweepMinAge})
	slog.InfoContext(ctx, "swept", slog.Any("report", report))
	return report, err
}
