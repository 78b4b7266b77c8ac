package porttest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync"
	"time"

	"github.com/imagify-api/imagify/adapters/memory"
	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// What the sweep stands on: the installation's record, states of many images, and
// blobs that are moved, copied and walked through.

// installationFault replaces some of Installation.
type installationFault struct {
	ports.Installation
	load    func(ctx context.Context) (ports.InstallationRecord, error)
	ensure  func(ctx context.Context, id domain.ID) (ports.InstallationRecord, error)
	confirm func(ctx context.Context, id domain.ID) error
	replace func(ctx context.Context, id domain.ID) error
	save    func(ctx context.Context, progress string) error
}

func (f installationFault) Load(ctx context.Context) (ports.InstallationRecord, error) {
	if f.load != nil {
		return f.load(ctx)
	}
	return f.Installation.Load(ctx)
}

func (f installationFault) Ensure(ctx context.Context, id domain.ID) (ports.InstallationRecord, error) {
	if f.ensure != nil {
		return f.ensure(ctx, id)
	}
	return f.Installation.Ensure(ctx, id)
}

func (f installationFault) Confirm(ctx context.Context, id domain.ID) error {
	if f.confirm != nil {
		return f.confirm(ctx, id)
	}
	return f.Installation.Confirm(ctx, id)
}

func (f installationFault) Replace(ctx context.Context, id domain.ID) error {
	if f.replace != nil {
		return f.replace(ctx, id)
	}
	return f.Installation.Replace(ctx, id)
}

func (f installationFault) SaveSweep(ctx context.Context, progress string) error {
	if f.save != nil {
		return f.save(ctx, progress)
	}
	return f.Installation.SaveSweep(ctx, progress)
}

// installs breaks Installation; right is what works.
func installs(fault, finds string, breakIt func(right ports.Installation) installationFault) broken {
	return records(fault, "Installation/"+finds, func(r *ports.Records) {
		f := breakIt(r.Installation)
		f.Installation = r.Installation
		r.Installation = f
	})
}

// statesOf breaks Images.States.
func statesOf(fault, finds string, states func(right ports.Images, ctx context.Context, owner domain.ID, ids []domain.ID) (map[domain.ID]domain.ImageState, error)) broken {
	return records(fault, "Images/Deletions/"+finds, func(r *ports.Records) {
		right := r.Images
		r.Images = deletionsFault{Images: right, states: func(ctx context.Context, owner domain.ID, ids []domain.ID) (map[domain.ID]domain.ImageState, error) {
			return states(right, ctx, owner, ids)
		}}
	})
}

// ownerless breaks Images.Ownerless.
func ownerless(fault string, find func(r ports.Records, ctx context.Context, after domain.ID, limit int) ([]ports.DueImage, domain.ID, error)) broken {
	return records(fault, "Images/Deletions/Ownerless", func(r *ports.Records) {
		right := *r
		r.Images = deletionsFault{Images: right.Images, ownerless: func(ctx context.Context, after domain.ID, limit int) ([]ports.DueImage, domain.ID, error) {
			return find(right, ctx, after, limit)
		}}
	})
}

// moves breaks Move.
func moves(fault, finds string, move func(b *memory.Blobs, ctx context.Context, from, to string) error) broken {
	return blobs(fault, "Blobs/"+finds, func(b *memory.Blobs) ports.Blobs {
		return blobsFault{Blobs: b, move: func(ctx context.Context, from, to string) error { return move(b, ctx, from, to) }}
	})
}

// copies breaks Copy.
func copies(fault, finds string, again func(b *memory.Blobs, ctx context.Context, from, to string) error) broken {
	return blobs(fault, "Blobs/"+finds, func(b *memory.Blobs) ports.Blobs {
		return blobsFault{Blobs: b, again: func(ctx context.Context, from, to string) error { return again(b, ctx, from, to) }}
	})
}

// walker is a Blobs with a Walk of its own.
type walker struct {
	ports.Blobs
	walk func(ctx context.Context, prefix, after string) iter.Seq2[ports.BlobInfo, error]
}

func (w walker) Walk(ctx context.Context, prefix, after string, _ func(string)) iter.Seq2[ports.BlobInfo, error] {
	return w.walk(ctx, prefix, after)
}

// walks breaks Walk.
func walks(fault, finds string, walk func(b *memory.Blobs, ctx context.Context, prefix, after string) iter.Seq2[ports.BlobInfo, error]) broken {
	return blobs(fault, "Blobs/"+finds, func(b *memory.Blobs) ports.Blobs {
		return walker{b, func(ctx context.Context, prefix, after string) iter.Seq2[ports.BlobInfo, error] {
			return walk(b, ctx, prefix, after)
		}}
	})
}

func copyBlob(ctx context.Context, b ports.Blobs, from, to string, o ports.PutOptions) error {
	blob, err := b.Open(ctx, from)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(blob.Body)
	o.Size = blob.Size
	return errors.Join(err, b.Put(ctx, to, bytes.NewReader(data), o))
}

func brokenSweeps() []broken {
	return []broken{
		records(control, "Installation/EnsureRacers", func(*ports.Records) {}),
		installs("the last Ensure wins", "EnsureAndConfirm", func(right ports.Installation) installationFault {
			return installationFault{ensure: func(ctx context.Context, id domain.ID) (ports.InstallationRecord, error) {
				return ports.InstallationRecord{ID: id}, right.Replace(ctx, id)
			}}
		}),
		installs("Ensure looks first and writes later", "EnsureRacers", func(right ports.Installation) installationFault {
			return installationFault{ensure: func(ctx context.Context, id domain.ID) (ports.InstallationRecord, error) {
				if rec, err := right.Load(ctx); err != nil || !rec.ID.IsZero() {
					return rec, err
				}
				pause()
				return ports.InstallationRecord{ID: id}, right.Replace(ctx, id)
			}}
		}),
		installs("a loser of Ensure learns its own id", "EnsureRacers", func(right ports.Installation) installationFault {
			return installationFault{ensure: func(ctx context.Context, id domain.ID) (ports.InstallationRecord, error) {
				rec, err := right.Ensure(ctx, id)
				rec.ID = id
				return rec, err
			}}
		}),
		installs("Ensure confirms", "EnsureAndConfirm", func(right ports.Installation) installationFault {
			return installationFault{ensure: func(ctx context.Context, id domain.ID) (ports.InstallationRecord, error) {
				rec, err := right.Ensure(ctx, id)
				return rec, errors.Join(err, right.Confirm(ctx, rec.ID))
			}}
		}),
		installs("confirms whatever id is given", "EnsureAndConfirm", func(right ports.Installation) installationFault {
			return installationFault{confirm: func(ctx context.Context, id domain.ID) error {
				if rec, err := right.Load(ctx); err == nil && !rec.ID.IsZero() {
					id = rec.ID
				}
				return right.Confirm(ctx, id)
			}}
		}),
		installs("confirms where there is nothing", "EnsureAndConfirm", func(right ports.Installation) installationFault {
			return installationFault{confirm: func(ctx context.Context, id domain.ID) error {
				_, _ = right.Ensure(ctx, id)
				return right.Confirm(ctx, id)
			}}
		}),
		installs("a row that did not change was not there", "EnsureAndConfirm", func(right ports.Installation) installationFault {
			return installationFault{confirm: func(ctx context.Context, id domain.ID) error {
				if rec, err := right.Load(ctx); err == nil && rec.Confirmed {
					return domain.Errorf(domain.Conflict, "no row was changed")
				}
				return right.Confirm(ctx, id)
			}}
		}),
		installs("replaces the id alone", "Replace", func(right ports.Installation) installationFault {
			return installationFault{replace: func(ctx context.Context, id domain.ID) error {
				was, err := right.Load(ctx)
				err = errors.Join(err, right.Replace(ctx, id))
				if was.Confirmed {
					err = errors.Join(err, right.Confirm(ctx, id))
				}
				return err
			}}
		}),
		installs("goes on with the sweep of another store", "Replace", func(right ports.Installation) installationFault {
			return installationFault{replace: func(ctx context.Context, id domain.ID) error {
				was, err := right.Load(ctx)
				return errors.Join(err, right.Replace(ctx, id), right.SaveSweep(ctx, was.Sweep))
			}}
		}),
		installs("replaces only what is there", "Replace", func(right ports.Installation) installationFault {
			return installationFault{replace: func(ctx context.Context, id domain.ID) error {
				if was, err := right.Load(ctx); err != nil || was.ID.IsZero() {
					return err
				}
				return right.Replace(ctx, id)
			}}
		}),
		installs("cuts the progress", "SaveSweep", func(right ports.Installation) installationFault {
			return installationFault{save: func(ctx context.Context, progress string) error {
				return right.SaveSweep(ctx, progress[:min(len(progress), 1000)])
			}}
		}),
		installs("takes a progress of any length", "SaveSweep", func(right ports.Installation) installationFault {
			return installationFault{save: func(ctx context.Context, progress string) error {
				if err := right.SaveSweep(ctx, progress); !errors.Is(err, domain.Invalid) {
					return err
				}
				return nil
			}}
		}),
		installs("saves into nothing", "SaveSweep", func(right ports.Installation) installationFault {
			return installationFault{save: func(ctx context.Context, progress string) error {
				if err := right.SaveSweep(ctx, progress); !errors.Is(err, domain.NotFound) {
					return err
				}
				return nil
			}}
		}),
		installs("the same progress again is not found", "SaveSweep", func(right ports.Installation) installationFault {
			return installationFault{save: func(ctx context.Context, progress string) error {
				if rec, err := right.Load(ctx); err == nil && rec.Sweep == progress {
					return domain.Errorf(domain.NotFound, "no row was changed")
				}
				return right.SaveSweep(ctx, progress)
			}}
		}),
		installs("a confirmation forgets the sweep", "SaveSweep", func(right ports.Installation) installationFault {
			return installationFault{confirm: func(ctx context.Context, id domain.ID) error {
				if err := right.Confirm(ctx, id); err != nil {
					return err
				}
				return right.SaveSweep(ctx, "")
			}}
		}),
		installs("an unavailable database has no record", "EndedContext", func(right ports.Installation) installationFault {
			return installationFault{load: func(ctx context.Context) (ports.InstallationRecord, error) {
				rec, _ := right.Load(ctx)
				return rec, nil
			}}
		}),
		installs("ensures for nobody", "EndedContext", func(right ports.Installation) installationFault {
			return installationFault{replace: func(ctx context.Context, id domain.ID) error {
				return errors.Join(ctx.Err(), right.Replace(context.WithoutCancel(ctx), id))
			}}
		}),

		records(control, "Images/Deletions/Ownerless", func(*ports.Records) {}),
		records(control, "Images/Deletions/States", func(*ports.Records) {}),
		statesOf("tells of other owners' images", "States", func(right ports.Images, ctx context.Context, owner domain.ID, ids []domain.ID) (map[domain.ID]domain.ImageState, error) {
			states, err := right.States(ctx, owner, ids)
			due, _ := right.DueDeletions(ctx, time.Now().AddDate(10, 0, 0), domain.ID{}, 1000)
			for _, d := range due {
				states[d.ID] = d.State
			}
			return states, err
		}),
		statesOf("names a thousand and no more", "States", func(right ports.Images, ctx context.Context, owner domain.ID, ids []domain.ID) (map[domain.ID]domain.ImageState, error) {
			return right.States(ctx, owner, ids[:min(len(ids), 1000)])
		}),
		statesOf("knows ready images only", "States", func(right ports.Images, ctx context.Context, owner domain.ID, ids []domain.ID) (map[domain.ID]domain.ImageState, error) {
			states, err := right.States(ctx, owner, ids)
			for id, s := range states {
				if s != domain.ImageReady {
					delete(states, id)
				}
			}
			return states, err
		}),
		statesOf("what has no record has an empty state", "States", func(right ports.Images, ctx context.Context, owner domain.ID, ids []domain.ID) (map[domain.ID]domain.ImageState, error) {
			found, err := right.States(ctx, owner, ids)
			states := map[domain.ID]domain.ImageState{}
			for _, id := range ids {
				states[id] = found[id]
			}
			return states, err
		}),
		statesOf("an unavailable database has no images", "EndedContext", func(right ports.Images, ctx context.Context, owner domain.ID, ids []domain.ID) (map[domain.ID]domain.ImageState, error) {
			states, _ := right.States(ctx, owner, ids)
			return states, nil
		}),
		ownerless("an owner who is being deleted is gone", func(r ports.Records, ctx context.Context, after domain.ID, limit int) ([]ports.DueImage, domain.ID, error) {
			return findOwnerless(ctx, r, after, limit, func(u domain.User, err error) bool { return err != nil || u.Deleting })
		}),
		ownerless("a page without a find is the last", func(r ports.Records, ctx context.Context, after domain.ID, limit int) ([]ports.DueImage, domain.ID, error) {
			found, next, err := r.Images.Ownerless(ctx, after, limit)
			if len(found) == 0 {
				next = domain.ID{}
			}
			return found, next, err
		}),
		ownerless("goes on after what it found", func(r ports.Records, ctx context.Context, after domain.ID, limit int) ([]ports.DueImage, domain.ID, error) {
			found, next, err := r.Images.Ownerless(ctx, after, limit)
			if len(found) > 0 && !next.IsZero() {
				next = found[0].ID
			}
			return found, next, err
		}),
		ownerless("begins with the last one again", func(r ports.Records, ctx context.Context, after domain.ID, limit int) ([]ports.DueImage, domain.ID, error) {
			if !after.IsZero() {
				after[15]--
			}
			return r.Images.Ownerless(ctx, after, limit)
		}),
		ownerless("finds what waits for its end already", func(r ports.Records, ctx context.Context, after domain.ID, limit int) ([]ports.DueImage, domain.ID, error) {
			found, next, err := r.Images.Ownerless(ctx, after, limit)
			due, _ := r.Images.DueDeletions(ctx, time.Now().AddDate(10, 0, 0), after, max(limit-len(found), 1))
			for _, d := range due {
				if len(found) < limit && (next.IsZero() || d.ID.Compare(next) <= 0) {
					found = append(found, d)
				}
			}
			return found, next, err
		}),
		ownerless("takes no limit for none", func(r ports.Records, ctx context.Context, after domain.ID, limit int) ([]ports.DueImage, domain.ID, error) {
			if limit < 1 {
				limit = 1000
			}
			return r.Images.Ownerless(ctx, after, limit)
		}),

		blobs(control, "Blobs/Move", func(b *memory.Blobs) ports.Blobs { return b }),
		blobs(control, "Blobs/MoveSeen", func(b *memory.Blobs) ports.Blobs { return b }),
		blobs(control, "Blobs/WalkMeanwhile", func(b *memory.Blobs) ports.Blobs { return b }),
		moves("leaves the blob where it was", "Move", func(b *memory.Blobs, ctx context.Context, from, to string) error {
			return b.Copy(ctx, from, to)
		}),
		moves("does not replace", "Move", func(b *memory.Blobs, ctx context.Context, from, to string) error {
			if err := copyBlob(ctx, b, from, to, ports.PutOptions{IfAbsent: true}); err != nil && !errors.Is(err, domain.Conflict) {
				return err
			}
			return b.Delete(ctx, from)
		}),
		moves("to where it is is into nothing", "Move", func(b *memory.Blobs, ctx context.Context, from, to string) error {
			if err := b.Copy(ctx, from, to); err != nil {
				return err
			}
			return b.Delete(ctx, from)
		}),
		moves("moves what is below", "Move", func(b *memory.Blobs, ctx context.Context, from, to string) error {
			below, err := b.List(ctx, from+"/", "", 1000)
			if len(below) == 0 {
				return errors.Join(err, b.Move(ctx, from, to))
			}
			for _, i := range below {
				err = errors.Join(err, b.Move(ctx, i.Key, to+strings.TrimPrefix(i.Key, from)))
			}
			return err
		}),
		moves("what was moved already may be moved again", "Move", func(b *memory.Blobs, ctx context.Context, from, to string) error {
			err := b.Move(ctx, from, to)
			if errors.Is(err, domain.NotFound) {
				if blob, oerr := b.Open(ctx, to); oerr == nil {
					return blob.Body.Close()
				}
			}
			return err
		}),
		moves("takes the failed move's place away", "MoveRacers", func(b *memory.Blobs, ctx context.Context, from, to string) error {
			err := b.Move(ctx, from, to)
			if err != nil && strings.HasPrefix(to, "trash/") {
				_ = b.Delete(ctx, to)
			}
			return err
		}),
		moves("takes away before it puts", "MoveSeen", func(b *memory.Blobs, ctx context.Context, from, to string) error {
			blob, err := b.Open(ctx, from)
			if err != nil {
				return err
			}
			if err := b.Delete(ctx, from); err != nil {
				return err
			}
			pause()
			data, err := io.ReadAll(blob.Body)
			return errors.Join(err, b.Put(ctx, to, bytes.NewReader(data), ports.PutOptions{Size: blob.Size}))
		}),
		blobs("a moved blob keeps its age", "Blobs/MoveTime", func(b *memory.Blobs) ports.Blobs {
			var was sync.Map
			return blobsFault{
				Blobs: b,
				move: func(ctx context.Context, from, to string) error {
					if blob, err := b.Open(ctx, from); err == nil {
						was.Store(to, blob.ModTime)
					}
					return b.Move(ctx, from, to)
				},
				list: func(ctx context.Context, prefix, after string, limit int) ([]ports.BlobInfo, error) {
					list, err := b.List(ctx, prefix, after, limit)
					for i := range list {
						if at, ok := was.Load(list[i].Key); ok {
							list[i].ModTime = at.(time.Time)
						}
					}
					return list, err
				},
			}
		}),
		moves("goes on without anybody", "EndedContext", func(b *memory.Blobs, ctx context.Context, from, to string) error {
			return b.Move(context.WithoutCancel(ctx), from, to)
		}),
		copies("a copy takes the first away", "Copy", func(b *memory.Blobs, ctx context.Context, from, to string) error {
			return b.Move(ctx, from, to)
		}),
		copies("the same again is a conflict", "Copy", func(b *memory.Blobs, ctx context.Context, from, to string) error {
			return copyBlob(ctx, b, from, to, ports.PutOptions{IfAbsent: true})
		}),
		copies("a copy of nothing is empty", "Copy", func(b *memory.Blobs, ctx context.Context, from, to string) error {
			err := b.Copy(ctx, from, to)
			if errors.Is(err, domain.NotFound) {
				return errors.Join(err, b.Put(ctx, to, bytes.NewReader(nil), ports.PutOptions{}))
			}
			return err
		}),
		blobs("a copy is another name of the first", "Blobs/Copy", func(b *memory.Blobs) ports.Blobs {
			var names sync.Map
			return blobsFault{
				Blobs: b,
				again: func(ctx context.Context, from, to string) error {
					err := b.Copy(ctx, from, to)
					if err == nil {
						names.Store(to, from)
					}
					return err
				},
				open: func(ctx context.Context, key string) (ports.Blob, error) {
					if from, ok := names.Load(key); ok {
						key = from.(string)
					}
					return b.Open(ctx, key)
				},
			}
		}),

		walks("folder by folder", "Walk", func(b *memory.Blobs, ctx context.Context, prefix, after string) iter.Seq2[ports.BlobInfo, error] {
			return func(yield func(ports.BlobInfo, error) bool) {
				all, _ := b.List(ctx, prefix, after, 1000)
				for _, folders := range []bool{false, true} {
					for _, i := range all {
						if strings.Contains(i.Key, "/") == folders && !yield(i, nil) {
							return
						}
					}
				}
			}
		}),
		walks("begins with where it left off", "Walk", func(b *memory.Blobs, ctx context.Context, prefix, after string) iter.Seq2[ports.BlobInfo, error] {
			if after != "" {
				after = after[:len(after)-1] + string(after[len(after)-1]-1) + "zzz"
			}
			return walkOf(ctx, b, prefix, after)
		}),
		walks("passes over what lies beside a folder of its name", "Walk", func(b *memory.Blobs, ctx context.Context, prefix, after string) iter.Seq2[ports.BlobInfo, error] {
			return func(yield func(ports.BlobInfo, error) bool) {
				for i, err := range walkOf(ctx, b, prefix, after) {
					if !strings.HasSuffix(i.Key, "-") && !yield(i, err) {
						return
					}
				}
			}
		}),
		walks("knows no sizes", "Walk", func(b *memory.Blobs, ctx context.Context, prefix, after string) iter.Seq2[ports.BlobInfo, error] {
			return func(yield func(ports.BlobInfo, error) bool) {
				for i, err := range walkOf(ctx, b, prefix, after) {
					i.Size = 0
					if !yield(i, err) {
						return
					}
				}
			}
		}),
		walks("ends when nobody waits, as if that were all", "Walk", func(b *memory.Blobs, ctx context.Context, prefix, after string) iter.Seq2[ports.BlobInfo, error] {
			return func(yield func(ports.BlobInfo, error) bool) {
				for i, err := range walkOf(ctx, b, prefix, after) {
					if err != nil || !yield(i, nil) {
						return
					}
				}
			}
		}),
		walks("ends after a thousand", "WalkMeanwhile", func(b *memory.Blobs, ctx context.Context, prefix, after string) iter.Seq2[ports.BlobInfo, error] {
			return func(yield func(ports.BlobInfo, error) bool) {
				n := 0
				for i, err := range walkOf(ctx, b, prefix, after) {
					if n++; n > 1000 || !yield(i, err) {
						return
					}
				}
			}
		}),
		walks("counts its pages by what is there", "WalkMeanwhile", func(b *memory.Blobs, ctx context.Context, prefix, after string) iter.Seq2[ports.BlobInfo, error] {
			return func(yield func(ports.BlobInfo, error) bool) {
				for seen := 0; ; {
					all, err := b.List(ctx, prefix, after, 100_000)
					if err != nil {
						yield(ports.BlobInfo{}, err)
						return
					}
					page := all[min(seen, len(all)):min(seen+100, len(all))]
					for _, i := range page {
						if !yield(i, nil) {
							return
						}
					}
					if seen += len(page); len(page) < 100 {
						return
					}
				}
			}
		}),
	}
}

// walkOf walks through a store as a right one would.
func walkOf(ctx context.Context, b *memory.Blobs, prefix, after string) iter.Seq2[ports.BlobInfo, error] {
	return ports.WalkBlobs(ctx, blobsFault{Blobs: b}, prefix, after, nil)
}

// findOwnerless is Images.Ownerless with another judgement of owners.
func findOwnerless(ctx context.Context, r ports.Records, after domain.ID, limit int, gone func(domain.User, error) bool) ([]ports.DueImage, domain.ID, error) {
	_, next, err := r.Images.Ownerless(ctx, after, limit)
	if err != nil {
		return nil, next, err
	}
	all, _, err := r.Images.ListAll(ctx, ports.TimeRange{}, ports.Page{Limit: 1000})
	var found []ports.DueImage
	for i := len(all) - 1; i >= 0; i-- {
		img := all[i]
		if img.ID.Compare(after) <= 0 || (!next.IsZero() && img.ID.Compare(next) > 0) {
			continue
		}
		if gone(r.Accounts.User(ctx, img.OwnerID)) {
			found = append(found, ports.DueImage{OwnerID: img.OwnerID, ID: img.ID, State: domain.ImageReady})
		}
	}
	return found, next, err
}
