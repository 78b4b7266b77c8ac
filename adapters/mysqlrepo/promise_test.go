package mysqlrepo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

func TestPromise(t *testing.T) {
	t.Parallel()
	t.Run("X12", promiseX12)
	t.Run("X13", promiseX13)
	t.Run("X14", promiseX14)
}

// full reports whether the promises are tried at their full size.
func full() bool { return os.Getenv("IMAGIFY_FULL") != "" }

// busyEnv has the test's program change the records at its value, of the user whose id is
// in ownerEnv, without an end.
const (
	busyEnv  = "IMAGIFY_TEST_BUSY"
	ownerEnv = "IMAGIFY_TEST_OWNER"
)

// changesOf are changes of every kind, of one user.
func changesOf(r ports.Records, owner domain.ID) map[string]func(ctx context.Context) error {
	upload := func(ctx context.Context) (domain.Image, error) {
		now := time.Now()
		u := ports.Upload{ImageID: newID(), OwnerID: owner, UploadedAt: now, LeaseUntil: now.Add(time.Minute)}
		if _, err := r.Images.BeginUpload(ctx, u, now); err != nil {
			return domain.Image{}, err
		}
		img := domain.Image{ID: u.ImageID, OwnerID: owner, Size: 10, ImageInfo: domain.ImageInfo{Format: domain.PNG, Width: 1, Height: 1, Frames: 1}}
		return img, r.Images.CommitUpload(ctx, u, img, ports.Quota{MaxImages: domain.NoLimit, MaxBytes: domain.NoLimit})
	}
	link := func(ctx context.Context) (domain.Link, error) {
		l := domain.Link{ID: newID(), Hash: domain.SecretHash(append(bytes16(), bytes16()...)), OwnerID: owner, ImageID: newID(), MaxViews: 5, CreatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
		return l, r.Links.Create(ctx, l, 0)
	}
	return map[string]func(ctx context.Context) error{
		"downgrade": func(ctx context.Context) error {
			return r.Accounts.Change(ctx, func(tx ports.AccountsTx) error {
				u, err := tx.User(ctx, owner)
				if err != nil {
					return err
				}
				if _, err := tx.Tiers(ctx); err != nil {
					return err
				}
				u.Epoch++
				return tx.SaveUser(ctx, u)
			})
		},
		"tier": func(ctx context.Context) error {
			return r.Accounts.Change(ctx, func(tx ports.AccountsTx) error {
				t, err := tx.Tier(ctx, "gold")
				if err != nil {
					return err
				}
				t.Title += "x"
				if len(t.Title) > 50 {
					t.Title = ""
				}
				return tx.SaveTier(ctx, t)
			})
		},
		"image": func(ctx context.Context) error {
			img, err := upload(ctx)
			if err != nil {
				return err
			}
			return r.Images.MarkDeleting(ctx, owner, img.ID, nil, time.Now())
		},
		"token": func(ctx context.Context) error {
			k := domain.Token{ID: newID(), Hash: domain.SecretHash(append(bytes16(), bytes16()...)), UserID: owner, Name: "x", CreatedAt: time.Now()}
			if err := r.Accounts.CreateToken(ctx, k, 0); err != nil {
				return err
			}
			return r.Accounts.DeleteToken(ctx, owner, k.ID)
		},
		"link": func(ctx context.Context) error {
			l, err := link(ctx)
			if err != nil {
				return err
			}
			if _, err := r.Links.TakeView(ctx, l.Hash, time.Now()); err != nil {
				return err
			}
			return r.Links.Revoke(ctx, owner, l.ID, nil, time.Now())
		},
	}
}

func bytes16() []byte {
	id := newID()
	return id[:]
}

// busy is the node that is stopped.
func busy(address string) error {
	db, err := Open(context.Background(), address, Options{MaxConns: 8})
	if err != nil {
		return err
	}
	owner, err := domain.ParseID(os.Getenv(ownerEnv))
	if err != nil {
		return err
	}
	var once sync.Once
	var wg sync.WaitGroup
	for _, change := range changesOf(db.Records(), owner) {
		wg.Go(func() {
			for {
				if err := change(context.Background()); err != nil && !errors.Is(err, domain.Unavailable) {
					panic(err)
				}
				once.Do(func() { fmt.Println("busy") })
			}
		})
	}
	wg.Wait()
	return nil
}

// startBusy starts a node that changes things of the user all the time.
func startBusy(t *testing.T, address string, owner domain.ID) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), busyEnv+"="+address, ownerEnv+"="+owner.String())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "busy", strings.TrimSpace(line))
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return cmd
}

// promiseX12 stops a node at any moment of any change: with SIGSTOP, and by a network that
// swallows what it sends. What others change, of the very same rows, goes through within six seconds.
func promiseX12(t *testing.T) {
	rounds := 3
	if full() {
		rounds = 50
	}
	servers(t, func(t *testing.T, s *server) {
		address := s.empty(t)
		db := s.open(t, address, Options{})
		_, err := db.MigrateUp(t.Context())
		require.NoError(t, err)
		owner := newID()
		require.NoError(t, db.Records().Accounts.Change(t.Context(), func(tx ports.AccountsTx) error {
			return errors.Join(tx.SaveTier(t.Context(), domain.Tier{Name: "gold"}),
				tx.SaveUser(t.Context(), domain.User{ID: owner, Username: "anna", Tiers: []string{"gold"}, IsActive: true}))
		}))
		proxy := realserver.ToxiProxy(t, s.Addr)
		u, err := url.Parse(address)
		require.NoError(t, err)
		u.Host = proxy.Addr
		node := startBusy(t, u.String(), owner)
		var longest time.Duration
		for round := range rounds {
			for _, stop := range []struct {
				how      string
				on, over func()
			}{
				{"SIGSTOP", func() { require.NoError(t, node.Process.Signal(syscall.SIGSTOP)) }, func() { require.NoError(t, node.Process.Signal(syscall.SIGCONT)) }},
				{"silence", func() { proxy.Swallow(t) }, func() { proxy.Heal(t) }},
			} {
				time.Sleep(rand.N(50 * time.Millisecond))
				stop.on()
				var wg sync.WaitGroup
				var mu sync.Mutex
				for what, change := range changesOf(db.Records(), owner) {
					wg.Go(func() {
						began := time.Now()
						var err error
						for err = change(t.Context()); err != nil && time.Since(began) < 20*time.Second; err = change(t.Context()) {
							if !assert.ErrorIs(t, err, domain.Unavailable, "%s: %s", stop.how, what) {
								return
							}
						}
						took := time.Since(began)
						assert.NoError(t, err, "%s: %s", stop.how, what)
						assert.Less(t, took, 3*6*time.Second, "%s in round %d: %s", stop.how, round, what)
						mu.Lock()
						defer mu.Unlock()
						longest = max(longest, took)
					})
				}
				wg.Wait()
				stop.over()
			}
		}
		t.Logf("X12: the longest that a change waited for a stopped node: %v", longest.Round(time.Millisecond))
	})
}

// promiseX13 restores an older copy of the database under a running node, which then comes
// to the same number of changes again, and beyond.
func promiseX13(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		db := s.fresh(t)
		ctx, r, owner := t.Context(), db.Records(), newID()
		save := func(epoch int64) {
			require.NoError(t, r.Accounts.Change(ctx, func(tx ports.AccountsTx) error {
				return tx.SaveUser(ctx, domain.User{ID: owner, Username: "anna", Epoch: epoch})
			}))
		}
		save(1)
		for _, table := range []string{"users", "change_versions", "change_entries"} {
			for _, q := range []string{"DROP TABLE IF EXISTS copy_" + table, "CREATE TABLE copy_" + table + " LIKE " + table, "INSERT INTO copy_" + table + " SELECT * FROM " + table} {
				_, err := db.db.DB.ExecContext(ctx, q)
				require.NoError(t, err)
			}
			t.Cleanup(func() { _, _ = db.db.DB.ExecContext(context.Background(), "DROP TABLE copy_"+table) })
		}
		atCopy, err := r.Changes.Since(ctx, "")
		require.NoError(t, err)
		for later := range 3 {
			save(2)
			seen, err := r.Changes.Since(ctx, atCopy.Cursor)
			require.NoError(t, err)
			require.False(t, seen.Lost)
			require.Len(t, seen.Entries, 1)
			for _, table := range []string{"users", "change_versions", "change_entries"} {
				for _, q := range []string{"DELETE FROM " + table, "INSERT INTO " + table + " SELECT * FROM copy_" + table} {
					_, err := db.db.DB.ExecContext(ctx, q)
					require.NoError(t, err)
				}
			}
			for range later {
				save(3) // the same number with the first, more with the next
			}
			f, err := r.Changes.Since(ctx, seen.Cursor)
			require.NoError(t, err)
			assert.True(t, f.Lost, "%d changes after the copy was put in place", later)
			f, err = r.Changes.Since(ctx, atCopy.Cursor)
			require.NoError(t, err)
			assert.False(t, f.Lost, "who has seen no more than the copy knows goes on")
			assert.Len(t, f.Entries, later)
			for _, table := range []string{"users", "change_versions", "change_entries"} {
				for _, q := range []string{"DELETE FROM " + table, "INSERT INTO " + table + " SELECT * FROM copy_" + table} {
					_, err := db.db.DB.ExecContext(ctx, q)
					require.NoError(t, err)
				}
			}
		}
	})
}

// texts counts what is sent to the server.
type texts struct{ n atomic.Int64 }

func (c *texts) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }
func (c *texts) AfterQuery(context.Context, *bun.QueryEvent)                        { c.n.Add(1) }

// promiseX14 counts what a change costs: its round trips, of which none is between the lock of a row of
// the feed and the COMMIT, bound how many changes there are in a second. And one client's
// change waits for nobody's who changes something else.
func promiseX14(t *testing.T) {
	servers(t, func(t *testing.T, s *server) {
		sent := &texts{}
		db := s.fresh(t, sent)
		ctx, r, owner := t.Context(), db.Records(), newID()
		require.NoError(t, r.Accounts.Change(ctx, func(tx ports.AccountsTx) error {
			return errors.Join(tx.SaveTier(ctx, domain.Tier{Name: "gold"}), tx.SaveUser(ctx, domain.User{ID: owner, Username: "anna", Tiers: []string{"gold"}, IsActive: true}))
		}))
		changes := changesOf(r, owner)
		for what, most := range map[string]int64{"downgrade": 6, "tier": 5, "image": 11, "token": 4, "link": 8} {
			require.NoError(t, changes[what](ctx))
			before := sent.n.Load()
			require.NoError(t, changes[what](ctx))
			assert.LessOrEqual(t, sent.n.Load()-before, most, what)
		}

		// A change that stays in the middle keeps no other from being made.
		others := domain.User{ID: newID(), Username: "bert"}
		in, out := make(chan struct{}), make(chan struct{})
		done := make(chan error, 1)
		go func() {
			var once sync.Once
			done <- r.Accounts.Change(ctx, func(tx ports.AccountsTx) error {
				u, err := tx.User(ctx, owner)
				if err != nil {
					return err
				}
				u.Epoch++
				err = tx.SaveUser(ctx, u)
				once.Do(func() { close(in) })
				<-out
				return err
			})
		}()
		<-in
		for range 40 { // in every shard
			others.ID = newID()
			others.Username = others.ID.String()
			require.NoError(t, r.Accounts.Change(ctx, func(tx ports.AccountsTx) error { return tx.SaveUser(ctx, others) }))
		}
		close(out)
		require.NoError(t, <-done)

		// A tier of many members goes in one small transaction, whatever their number.
		before := sent.n.Load()
		require.NoError(t, r.Accounts.Change(ctx, func(tx ports.AccountsTx) error { return tx.DeleteTier(ctx, "gold") }))
		assert.LessOrEqual(t, sent.n.Load()-before, int64(3))
	})
}

// BenchmarkChanges makes changes with a network of some delay between each of two nodes
// and the database, and reports how many there are in a second.
func BenchmarkChanges(b *testing.B) {
	for name, start := range starters {
		for _, delay := range []time.Duration{0, time.Millisecond, 5 * time.Millisecond} {
			for _, clients := range []int{1, 4, 16, 64} {
				b.Run(fmt.Sprintf("%s/delay=%v/clients=%d", name, delay, clients), func(b *testing.B) {
					s := newServer(b, start(b))
					address := s.empty(b)
					nodes := make([]*DB, 2)
					for i := range nodes {
						u, err := url.Parse(address)
						require.NoError(b, err)
						if delay > 0 {
							proxy := realserver.ToxiProxy(b, s.Addr)
							proxy.Latency(b, delay)
							u.Host = proxy.Addr
						}
						nodes[i] = s.open(b, u.String(), Options{})
					}
					_, err := nodes[0].MigrateUp(b.Context())
					require.NoError(b, err)
					owners := make([]domain.ID, clients)
					for i := range owners {
						owners[i] = newID()
						require.NoError(b, nodes[0].Records().Accounts.Change(b.Context(), func(tx ports.AccountsTx) error {
							return tx.SaveUser(b.Context(), domain.User{ID: owners[i], Username: owners[i].String()})
						}))
					}
					b.ResetTimer()
					var next atomic.Int64
					var wg sync.WaitGroup
					for i, owner := range owners {
						wg.Go(func() {
							r := nodes[i%2].Records()
							for next.Add(1) <= int64(b.N) {
								err := r.Accounts.Change(context.Background(), func(tx ports.AccountsTx) error {
									return tx.SaveUser(context.Background(), domain.User{ID: owner, Username: owner.String(), Epoch: next.Load()})
								})
								assert.NoError(b, err)
							}
						})
					}
					wg.Wait()
					b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "changes/s")
				})
			}
		}
	}
}
