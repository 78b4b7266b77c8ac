package porttest_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// imagesFault replaces some of what Images reads.
type imagesFault struct {
	ports.Images
	get     func(ctx context.Context, owner, id domain.ID) (domain.Image, error)
	list    func(ctx context.Context, owner domain.ID, p ports.Page) ([]domain.Image, error)
	listAll func(ctx context.Context, r ports.TimeRange, p ports.Page) ([]domain.Image, domain.ID, error)
	usage   func(ctx context.Context, owner domain.ID) (domain.Usage, error)
}

// idsFault lists ids by a function of its own.
type idsFault struct {
	ports.Images
	ids func(ctx context.Context, owner domain.ID, p ports.Page) ([]domain.ID, error)
}

func (f idsFault) ListIDs(ctx context.Context, owner domain.ID, p ports.Page) ([]domain.ID, error) {
	return f.ids(ctx, owner, p)
}

// listsIDs breaks ListIDs alone; right is what it ought to call.
func listsIDs(fault string, ids func(right ports.Images, ctx context.Context, owner domain.ID, p ports.Page) ([]domain.ID, error)) broken {
	return records(fault, "Images/Reads/IDs", func(r *ports.Records) {
		images := r.Images
		r.Images = idsFault{images, func(ctx context.Context, owner domain.ID, p ports.Page) ([]domain.ID, error) {
			return ids(images, ctx, owner, p)
		}}
	})
}

func (f imagesFault) Get(ctx context.Context, owner, id domain.ID) (domain.Image, error) {
	if f.get != nil {
		return f.get(ctx, owner, id)
	}
	return f.Images.Get(ctx, owner, id)
}

func (f imagesFault) List(ctx context.Context, owner domain.ID, p ports.Page) ([]domain.Image, error) {
	if f.list != nil {
		return f.list(ctx, owner, p)
	}
	return f.Images.List(ctx, owner, p)
}

func (f imagesFault) ListAll(ctx context.Context, r ports.TimeRange, p ports.Page) ([]domain.Image, domain.ID, error) {
	if f.listAll != nil {
		return f.listAll(ctx, r, p)
	}
	return f.Images.ListAll(ctx, r, p)
}

func (f imagesFault) Usage(ctx context.Context, owner domain.ID) (domain.Usage, error) {
	if f.usage != nil {
		return f.usage(ctx, owner)
	}
	return f.Images.Usage(ctx, owner)
}

// recountFault does not tell what a usage was.
type recountFault struct{ ports.Images }

func (f recountFault) RecountUsage(ctx context.Context, owner domain.ID) (domain.Usage, error) {
	_, err := f.Images.RecountUsage(ctx, owner)
	return domain.Usage{}, err
}

// uploadsFault replaces some of what Images does with uploads.
type uploadsFault struct {
	ports.Images
	begin  func(ctx context.Context, u ports.Upload, now time.Time) (ports.Reservation, error)
	renew  func(ctx context.Context, u ports.Upload, until time.Time) error
	commit func(ctx context.Context, u ports.Upload, img domain.Image, q ports.Quota) error
	abort  func(ctx context.Context, u ports.Upload) error
}

func (f uploadsFault) BeginUpload(ctx context.Context, u ports.Upload, now time.Time) (ports.Reservation, error) {
	if f.begin != nil {
		return f.begin(ctx, u, now)
	}
	return f.Images.BeginUpload(ctx, u, now)
}

func (f uploadsFault) RenewUpload(ctx context.Context, u ports.Upload, until time.Time) error {
	if f.renew != nil {
		return f.renew(ctx, u, until)
	}
	return f.Images.RenewUpload(ctx, u, until)
}

func (f uploadsFault) CommitUpload(ctx context.Context, u ports.Upload, img domain.Image, q ports.Quota) error {
	if f.commit != nil {
		return f.commit(ctx, u, img, q)
	}
	return f.Images.CommitUpload(ctx, u, img, q)
}

func (f uploadsFault) AbortUpload(ctx context.Context, u ports.Upload) error {
	if f.abort != nil {
		return f.abort(ctx, u)
	}
	return f.Images.AbortUpload(ctx, u)
}

// deletionsFault replaces some of what Images does with deletions.
type deletionsFault struct {
	ports.Images
	mark   func(ctx context.Context, owner, id domain.ID, e *domain.AuditEntry, now time.Time) error
	finish func(ctx context.Context, owner, id domain.ID, now time.Time) (bool, error)
	due    func(ctx context.Context, now time.Time, after domain.ID, limit int) ([]ports.DueImage, error)

	states    func(ctx context.Context, owner domain.ID, ids []domain.ID) (map[domain.ID]domain.ImageState, error)
	ownerless func(ctx context.Context, after domain.ID, limit int) ([]ports.DueImage, domain.ID, error)
}

func (f deletionsFault) States(ctx context.Context, owner domain.ID, ids []domain.ID) (map[domain.ID]domain.ImageState, error) {
	if f.states != nil {
		return f.states(ctx, owner, ids)
	}
	return f.Images.States(ctx, owner, ids)
}

func (f deletionsFault) Ownerless(ctx context.Context, after domain.ID, limit int) ([]ports.DueImage, domain.ID, error) {
	if f.ownerless != nil {
		return f.ownerless(ctx, after, limit)
	}
	return f.Images.Ownerless(ctx, after, limit)
}

func (f deletionsFault) MarkDeleting(ctx context.Context, owner, id domain.ID, e *domain.AuditEntry, now time.Time) error {
	if f.mark != nil {
		return f.mark(ctx, owner, id, e, now)
	}
	return f.Images.MarkDeleting(ctx, owner, id, e, now)
}

func (f deletionsFault) FinishDeletion(ctx context.Context, owner, id domain.ID, now time.Time) (bool, error) {
	if f.finish != nil {
		return f.finish(ctx, owner, id, now)
	}
	return f.Images.FinishDeletion(ctx, owner, id, now)
}

func (f deletionsFault) DueDeletions(ctx context.Context, now time.Time, after domain.ID, limit int) ([]ports.DueImage, error) {
	if f.due != nil {
		return f.due(ctx, now, after, limit)
	}
	return f.Images.DueDeletions(ctx, now, after, limit)
}

var unlimited = ports.Quota{MaxImages: domain.NoLimit, MaxBytes: domain.NoLimit}

func brokenImages() []broken {
	return []broken{
		records(control, "Images/Uploads/QuotaRacers", func(*ports.Records) {}),
		listsIDs("lists ids from the beginning again", func(right ports.Images, ctx context.Context, owner domain.ID, p ports.Page) ([]domain.ID, error) {
			return right.ListIDs(ctx, owner, ports.Page{Limit: p.Limit})
		}),
		listsIDs("lists one id too few", func(right ports.Images, ctx context.Context, owner domain.ID, p ports.Page) ([]domain.ID, error) {
			ids, err := right.ListIDs(ctx, owner, p)
			return ids[:max(len(ids)-1, 0)], err
		}),
		listsIDs("lists ids the other way round", func(right ports.Images, ctx context.Context, owner domain.ID, p ports.Page) ([]domain.ID, error) {
			ids, err := right.ListIDs(ctx, owner, p)
			slices.Reverse(ids)
			return ids, err
		}),
		records("ignores the owner", "Images/Reads/OwnersAreApart", func(r *ports.Records) {
			inner := r.Images
			r.Images = imagesFault{Images: inner, get: func(ctx context.Context, _, id domain.ID) (domain.Image, error) {
				owner, err := inner.Owner(ctx, id)
				if err != nil {
					return domain.Image{}, err
				}
				return inner.Get(ctx, owner, id)
			}}
		}),
		records("finds what is being deleted", "Images/Reads/OnlyReady", func(r *ports.Records) {
			inner := r.Images
			var seen sync.Map
			r.Images = imagesFault{Images: inner, get: func(ctx context.Context, owner, id domain.ID) (domain.Image, error) {
				img, err := inner.Get(ctx, owner, id)
				if old, ok := seen.Load(id); err != nil && ok {
					return old.(domain.Image), nil
				}
				seen.Store(id, img)
				return img, err
			}}
		}),
		records("hands out shared memory", "Images/Reads/Copies", func(r *ports.Records) {
			inner := r.Images
			var shared sync.Map
			r.Images = imagesFault{Images: inner, list: func(ctx context.Context, owner domain.ID, p ports.Page) ([]domain.Image, error) {
				list, err := inner.List(ctx, owner, p)
				for i := range list {
					first, _ := shared.LoadOrStore(list[i].ID, list[i].Placeholder)
					list[i].Placeholder = first.([]byte)
				}
				return list, err
			}}
		}),
		records("a short page is the last", "Images/Reads/ListAll", func(r *ports.Records) {
			inner := r.Images
			r.Images = imagesFault{Images: inner, listAll: func(ctx context.Context, tr ports.TimeRange, p ports.Page) ([]domain.Image, domain.ID, error) {
				list, _, err := inner.ListAll(ctx, tr, p)
				return list, domain.ID{}, err
			}}
		}),
		records("goes on from the wrong place", "Images/Reads/ListAll", func(r *ports.Records) {
			inner := r.Images
			r.Images = imagesFault{Images: inner, listAll: func(ctx context.Context, tr ports.TimeRange, p ports.Page) ([]domain.Image, domain.ID, error) {
				list, next, err := inner.ListAll(ctx, tr, p)
				if !next.IsZero() {
					next = domain.FirstIDAt(next.Time().Add(-time.Second)) // past what was made a second before
				}
				return list, next, err
			}}
		}),
		records("a range includes its end", "Images/Reads/ListAll", func(r *ports.Records) {
			inner := r.Images
			r.Images = imagesFault{Images: inner, listAll: func(ctx context.Context, tr ports.TimeRange, p ports.Page) ([]domain.Image, domain.ID, error) {
				if !tr.To.IsZero() {
					tr.To = tr.To.Add(1)
				}
				return inner.ListAll(ctx, tr, p)
			}}
		}),
		records("skips an image", "Images/Reads/Paging", func(r *ports.Records) {
			inner := r.Images
			r.Images = imagesFault{Images: inner, list: func(ctx context.Context, owner domain.ID, p ports.Page) ([]domain.Image, error) {
				list, err := inner.List(ctx, owner, p)
				if !p.Before.IsZero() && len(list) > 0 {
					list, err = inner.List(ctx, owner, ports.Page{Before: list[0].ID, Limit: p.Limit})
				}
				return list, err
			}}
		}),
		records("usage never shrinks", "Images/Reads/Usage", func(r *ports.Records) {
			inner, most := r.Images, map[domain.ID]domain.Usage{}
			var mu sync.Mutex
			r.Images = imagesFault{Images: inner, usage: func(ctx context.Context, owner domain.ID) (domain.Usage, error) {
				u, err := inner.Usage(ctx, owner)
				mu.Lock()
				defer mu.Unlock()
				if u.Images > most[owner].Images {
					most[owner] = u
				}
				return most[owner], err
			}}
		}),
		records("a recount does not tell what the usage was", "Images/Reads/Usage", func(r *ports.Records) {
			r.Images = recountFault{r.Images}
		}),
		records("forgets the placeholder", "Images/Reads/RoundTrip", func(r *ports.Records) {
			inner := r.Images
			r.Images = uploadsFault{Images: inner, commit: func(ctx context.Context, u ports.Upload, img domain.Image, q ports.Quota) error {
				img.Placeholder = nil
				return inner.CommitUpload(ctx, u, img, q)
			}}
		}),

		records("keys are everybody's", "Images/Uploads/KeysOfOwnersAreApart", func(r *ports.Records) {
			inner := r.Images
			var holder sync.Map
			r.Images = uploadsFault{Images: inner, begin: func(ctx context.Context, u ports.Upload, now time.Time) (ports.Reservation, error) {
				if first, taken := holder.LoadOrStore(u.Key, u.OwnerID); taken && first != u.OwnerID {
					return ports.Reservation{State: ports.ReservationBusy}, nil
				}
				return inner.BeginUpload(ctx, u, now)
			}}
		}),
		records("a quota is checked before, not with, the write", "Images/Uploads/QuotaRacers", func(r *ports.Records) {
			inner, images := r.Images, r.Images
			r.Images = uploadsFault{Images: inner, commit: func(ctx context.Context, u ports.Upload, img domain.Image, q ports.Quota) error {
				usage, err := images.Usage(ctx, u.OwnerID)
				if err != nil || !q.MaxImages.Allows(usage.Images+1) || !q.MaxBytes.Allows(usage.Bytes+img.Size) {
					return inner.CommitUpload(ctx, u, img, q)
				}
				pause()
				return inner.CommitUpload(ctx, u, img, unlimited)
			}}
		}),
		records("bytes do not count", "Images/Uploads/QuotaOfBytes", func(r *ports.Records) {
			inner := r.Images
			r.Images = uploadsFault{Images: inner, commit: func(ctx context.Context, u ports.Upload, img domain.Image, q ports.Quota) error {
				q.MaxBytes = domain.NoLimit
				return inner.CommitUpload(ctx, u, img, q)
			}}
		}),
		records("a quota refuses without telling how much is used", "Images/Uploads/QuotaOfImages", func(r *ports.Records) {
			inner := r.Images
			r.Images = uploadsFault{Images: inner, commit: func(ctx context.Context, u ports.Upload, img domain.Image, q ports.Quota) error {
				err := inner.CommitUpload(ctx, u, img, q)
				if domain.CodeOf(err) == domain.QuotaExceeded {
					domain.AsError(err).Used = nil
				}
				return err
			}}
		}),
		records("commits without its reservation", "Images/Uploads/LeaseTakeover", func(r *ports.Records) {
			inner := r.Images
			r.Images = uploadsFault{Images: inner, commit: func(ctx context.Context, u ports.Upload, img domain.Image, q ports.Quota) error {
				err := inner.CommitUpload(ctx, u, img, q)
				if domain.CodeOf(err) == domain.Conflict {
					u.Key = domain.SecretHash{}
					return inner.CommitUpload(ctx, u, img, q)
				}
				return err
			}}
		}),
		records("a second commit succeeds", "Images/Uploads/CommitRacers", func(r *ports.Records) {
			inner, deletions := r.Images, r.Images
			r.Images = uploadsFault{Images: inner, commit: func(ctx context.Context, u ports.Upload, img domain.Image, q ports.Quota) error {
				err := inner.CommitUpload(ctx, u, img, q)
				if s, e := deletions.State(ctx, u.OwnerID, u.ImageID); e == nil && s == domain.ImageReady {
					return nil
				}
				return err
			}}
		}),
		records("an owner who is gone gets an image", "Images/Uploads/OwnerGone", func(r *ports.Records) {
			inner, accounts := r.Images, r.Accounts
			r.Images = uploadsFault{Images: inner, commit: func(ctx context.Context, u ports.Upload, img domain.Image, q ports.Quota) error {
				return commitAnyway(ctx, inner, accounts, u, img, q)
			}}
		}),
		records("asks for the owner before, not with, the write", "Images/Uploads/OwnerGoneRacers", func(r *ports.Records) {
			inner, accounts := r.Images, r.Accounts
			var fine sync.Map
			r.Images = uploadsFault{
				Images: inner,
				begin: func(ctx context.Context, u ports.Upload, now time.Time) (ports.Reservation, error) {
					if owner, err := accounts.User(ctx, u.OwnerID); err == nil && owner.IsActive && !owner.Deleting {
						fine.Store(u.ImageID, true)
					}
					return inner.BeginUpload(ctx, u, now)
				},
				commit: func(ctx context.Context, u ports.Upload, img domain.Image, q ports.Quota) error {
					if _, ok := fine.Load(u.ImageID); !ok {
						return inner.CommitUpload(ctx, u, img, q)
					}
					return commitAnyway(ctx, inner, accounts, u, img, q)
				},
			}
		}),
		records("leases never lapse", "Images/Uploads/LeaseTakeover", func(r *ports.Records) {
			inner := r.Images
			r.Images = uploadsFault{Images: inner, begin: func(ctx context.Context, u ports.Upload, now time.Time) (ports.Reservation, error) {
				return inner.BeginUpload(ctx, u, now.Truncate(24*time.Hour))
			}}
		}),
		records("keys are never forgotten", "Images/Uploads/KeyRetention", func(r *ports.Records) {
			inner := r.Images
			var first sync.Map
			r.Images = uploadsFault{Images: inner, begin: func(ctx context.Context, u ports.Upload, now time.Time) (ports.Reservation, error) {
				made, _ := first.LoadOrStore(u.Key, now)
				return inner.BeginUpload(ctx, u, made.(time.Time))
			}}
		}),
		records("two racers get the reservation", "Images/Uploads/BeginRacers", func(r *ports.Records) {
			inner := r.Images
			var taken sync.Map
			r.Images = uploadsFault{Images: inner, begin: func(ctx context.Context, u ports.Upload, now time.Time) (ports.Reservation, error) {
				if _, ok := taken.Load(u.Key); ok {
					return ports.Reservation{State: ports.ReservationBusy}, nil
				}
				pause()
				taken.Store(u.Key, true)
				u.Key = domain.SecretHash{}
				return inner.BeginUpload(ctx, u, now)
			}}
		}),
		records("two racers take over", "Images/Uploads/TakeoverRacers", func(r *ports.Records) {
			inner := r.Images
			var heirs sync.Map
			r.Images = uploadsFault{Images: inner, begin: func(ctx context.Context, u ports.Upload, now time.Time) (ports.Reservation, error) {
				_, lost := heirs.Load(u.Key)
				if c, err := inner.BeginUpload(ctx, u, now); err != nil || c.State == ports.ReservationWon || lost {
					return c, err
				}
				pause()
				heirs.Store(u.Key, true)
				u.Key = domain.SecretHash{}
				return inner.BeginUpload(ctx, u, now)
			}}
		}),
		records("a pending image without a reservation", "Images/Uploads/Key", func(r *ports.Records) {
			inner := r.Images
			r.Images = uploadsFault{Images: inner, begin: func(ctx context.Context, u ports.Upload, now time.Time) (ports.Reservation, error) {
				c, err := inner.BeginUpload(ctx, u, now)
				if c.State == ports.ReservationBusy {
					u.Key = domain.SecretHash{}
					_, err = inner.BeginUpload(ctx, u, now)
				}
				return c, err
			}}
		}),
		records("forgets the digest", "Images/Uploads/Key", func(r *ports.Records) {
			inner := r.Images
			r.Images = uploadsFault{Images: inner, begin: func(ctx context.Context, u ports.Upload, now time.Time) (ports.Reservation, error) {
				c, err := inner.BeginUpload(ctx, u, now)
				c.SHA256 = [32]byte{}
				return c, err
			}}
		}),
		records("extends nothing", "Images/Uploads/Renew", func(r *ports.Records) {
			inner := r.Images
			r.Images = uploadsFault{Images: inner, renew: func(ctx context.Context, u ports.Upload, _ time.Time) error {
				return inner.RenewUpload(ctx, u, u.LeaseUntil)
			}}
		}),
		records("the same lease again is a loss", "Images/Uploads/Renew", func(r *ports.Records) {
			inner := r.Images
			var last sync.Map
			r.Images = uploadsFault{Images: inner, renew: func(ctx context.Context, u ports.Upload, until time.Time) error {
				if old, ok := last.Swap(u.ImageID, until); ok && until.Equal(old.(time.Time)) {
					return domain.Conflict // as who counts the rows that MySQL changed
				}
				return inner.RenewUpload(ctx, u, until)
			}}
		}),
		records("renews a reservation that was lost", "Images/Uploads/LeaseTakeover", func(r *ports.Records) {
			inner := r.Images
			r.Images = uploadsFault{Images: inner, renew: func(ctx context.Context, u ports.Upload, until time.Time) error {
				u.Key = domain.SecretHash{}
				return inner.RenewUpload(ctx, u, until)
			}}
		}),
		records("abort does nothing", "Images/Uploads/Abort", func(r *ports.Records) {
			r.Images = uploadsFault{Images: r.Images, abort: func(context.Context, ports.Upload) error { return nil }}
		}),
		records("abort frees another's key", "Images/Uploads/AbortAfterTakeover", func(r *ports.Records) {
			inner := r.Images
			var holder sync.Map
			r.Images = uploadsFault{
				Images: inner,
				begin: func(ctx context.Context, u ports.Upload, now time.Time) (ports.Reservation, error) {
					c, err := inner.BeginUpload(ctx, u, now)
					if c.State == ports.ReservationWon {
						holder.Store(u.Key, u)
					}
					return c, err
				},
				abort: func(ctx context.Context, u ports.Upload) error {
					heir, _ := holder.Load(u.Key)
					if err := inner.AbortUpload(ctx, heir.(ports.Upload)); err != nil {
						return err
					}
					return inner.AbortUpload(ctx, u)
				},
			}
		}),

		records("marks twice", "Images/Deletions/MarkAndFinish", func(r *ports.Records) {
			inner := r.Images
			r.Images = deletionsFault{Images: inner, mark: func(ctx context.Context, owner, id domain.ID, e *domain.AuditEntry, now time.Time) error {
				err := inner.MarkDeleting(ctx, owner, id, e, now)
				if s, _ := inner.State(ctx, owner, id); s == domain.ImageDeleting {
					return nil
				}
				return err
			}}
		}),
		records("every racer marks", "Images/Deletions/MarkRacers", func(r *ports.Records) {
			inner := r.Images
			r.Images = deletionsFault{Images: inner, mark: func(ctx context.Context, owner, id domain.ID, e *domain.AuditEntry, now time.Time) error {
				if s, err := inner.State(ctx, owner, id); err != nil || s != domain.ImageReady {
					return domain.NotFound
				}
				pause()
				_ = inner.MarkDeleting(ctx, owner, id, e, now)
				return nil
			}}
		}),
		records("marks without an audit entry", "Images/Deletions/MarkAndFinish", func(r *ports.Records) {
			inner := r.Images
			r.Images = deletionsFault{Images: inner, mark: func(ctx context.Context, owner, id domain.ID, _ *domain.AuditEntry, now time.Time) error {
				return inner.MarkDeleting(ctx, owner, id, nil, now)
			}}
		}),
		records("marks anybody's image", "Images/Deletions/MarkOnlyReady", func(r *ports.Records) {
			inner, images := r.Images, r.Images
			r.Images = deletionsFault{Images: inner, mark: func(ctx context.Context, owner, id domain.ID, e *domain.AuditEntry, now time.Time) error {
				if actual, err := images.Owner(ctx, id); err == nil {
					owner = actual
				}
				return inner.MarkDeleting(ctx, owner, id, e, now)
			}}
		}),
		records("finishes what is alive", "Images/Deletions/FinishOnlyDue", func(r *ports.Records) {
			inner := r.Images
			r.Images = deletionsFault{Images: inner, finish: func(ctx context.Context, owner, id domain.ID, now time.Time) (bool, error) {
				return inner.FinishDeletion(ctx, owner, id, now.AddDate(1, 0, 0))
			}}
		}),
		records("every racer finishes", "Images/Deletions/FinishRacers", func(r *ports.Records) {
			inner := r.Images
			r.Images = deletionsFault{Images: inner, finish: func(ctx context.Context, owner, id domain.ID, now time.Time) (bool, error) {
				_, err := inner.State(ctx, owner, id)
				pause()
				_, _ = inner.FinishDeletion(ctx, owner, id, now)
				return err == nil, nil
			}}
		}),
		records("due shows the last one again", "Images/Deletions/Due", func(r *ports.Records) {
			inner := r.Images
			r.Images = deletionsFault{Images: inner, due: func(ctx context.Context, now time.Time, after domain.ID, limit int) ([]ports.DueImage, error) {
				if !after.IsZero() {
					after[15]--
				}
				return inner.DueDeletions(ctx, now, after, limit)
			}}
		}),
		records("due shows what is alive", "Images/Deletions/Due", func(r *ports.Records) {
			inner := r.Images
			r.Images = deletionsFault{Images: inner, due: func(ctx context.Context, now time.Time, after domain.ID, limit int) ([]ports.DueImage, error) {
				return inner.DueDeletions(ctx, now.Add(time.Hour), after, limit)
			}}
		}),
	}
}

// commitAnyway commits though the owner may be gone.
func commitAnyway(ctx context.Context, inner ports.Images, accounts ports.Accounts, u ports.Upload, img domain.Image, q ports.Quota) error {
	err := inner.CommitUpload(ctx, u, img, q)
	if domain.CodeOf(err) != domain.Denied {
		return err
	}
	back := domain.User{ID: u.OwnerID, Username: "back-" + u.OwnerID.String(), IsActive: true}
	if err := accounts.Change(ctx, func(tx ports.AccountsTx) error { return tx.SaveUser(ctx, back) }); err != nil {
		return err
	}
	return inner.CommitUpload(ctx, u, img, q)
}
