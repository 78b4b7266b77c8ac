package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/imagify-api/imagify/domain"
	"github.com/imagify-api/imagify/ports"
)

// Config is what a Service is made of. Fields without a comment that says
// otherwise are required.
type Config struct {
	Records    ports.Records
	Blobs      ports.Blobs
	Resizer    ports.Resizer
	RateLimits ports.RateLimits
	// RemoteResizer makes thumbnails on first access where the store is, such as in a
	// function; nil: Resizer makes them here. It must work on the same store as Blobs.
	RemoteResizer ports.RemoteResizer
	// LinkCache is the fast path for links; nil: the database alone answers.
	LinkCache ports.LinkCache
	// Notices makes other nodes hear of changes sooner than their next poll; nil: they poll.
	Notices ports.Notices

	// SecretKeys sign URLs; the first signs, all of them verify. Each has at least 16 bytes.
	SecretKeys [][]byte

	// Caps bound what any tier may allow; zero fields get DefaultCaps.
	Caps Caps
	// Accept is the formats taken at upload; nil: all.
	Accept []domain.Format

	// SpoolDir is the folder where uploads wait until they are whole; empty: the system's
	// temporary folder. It is made with the first upload, and several processes may share it.
	SpoolDir string
	// Disks are further folders to whose file systems uploads go, where Caps.MinFree is left too.
	Disks []string

	// SweepEvery is how often Run sweeps, for the first time when it has run so long; 0:
	// every 10 minutes, negative: never.
	SweepEvery time.Duration
	// TrashFor is how long a blob without a record stays in the trash before a sweep
	// removes it for good; 0: 7 days.
	TrashFor time.Duration
	// Now is the local clock; nil: time.Now. Expiry is judged by the database's clock, as the change feed tells it.
	Now func() time.Time
	// NewID makes ids; nil: UUID version 7 of the time by which expiry is judged.
	NewID func() domain.ID
	// Logger gets what an operator should know; nil: slog.Default().
	Logger *slog.Logger
	// Argon2 sets the cost of password hashes; zero: OWASP's parameters.
	Argon2 Argon2
}

// Caps are the process's own bounds.
type Caps struct {
	UploadBytes int64         // of one original; default 256 MiB
	Pixels      int64         // of one picture; default 100 million
	UploadTime  time.Duration // of one upload from its first byte; default 15 minutes
	// MinFree is the disk space in bytes below which uploads are refused, so that
	// everything else goes on; default 256 MiB, negative: uploads may take all there is.
	MinFree int64
}

// DefaultCaps returns the caps that zero fields stand for.
func DefaultCaps() Caps {
	return Caps{UploadBytes: 256 << 20, Pixels: 100_000_000, UploadTime: 15 * time.Minute, MinFree: 256 << 20}
}

// Service is imagify. It is safe for concurrent use. Without Run it is right
// and reads the database for every decision; Run makes it quick.
type Service struct {
	cfg    Config
	rec    ports.Records
	log    *slog.Logger
	keys   []signer
	hasher *passwordHasher

	feed     *feed
	accounts *feedCache[domain.ID, account]
	images   *feedCache[domain.ID, domain.Image]
	tokens   *secretCache[domain.Token]
	links    *secretCache[domain.Link]
	tiers    *feedCache[struct{}, []domain.Tier]
	bodies   *otter.Cache[bodyKey, thumbnail]

	credentialCache *credentialCache
	inflight        inflight
	views           viewCounter
	outages         *outages

	spool   *spool
	uploads uploadShares
	// swept is the newest walk of the store.
	swept atomic.Pointer[SweepStatus]

	stop   context.CancelFunc
	life   context.Context // ends with Close: the context of work that outlives a request
	closed sync.Once

	running sync.WaitGroup // Run's calls
	runMu   sync.Mutex     // held where running grows: not after life has ended
}

// missing names the required fields that are not set.
func (cfg Config) missing() (names []string) {
	r := cfg.Records
	for _, field := range []struct {
		name  string
		unset bool
	}{
		{"Records.Accounts", r.Accounts == nil},
		{"Records.Images", r.Images == nil},
		{"Records.Links", r.Links == nil},
		{"Records.Audit", r.Audit == nil},
		{"Records.Changes", r.Changes == nil},
		{"Records.Leases", r.Leases == nil},
		{"Records.Installation", r.Installation == nil},
		{"Blobs", cfg.Blobs == nil},
		{"Resizer", cfg.Resizer == nil},
		{"RateLimits", cfg.RateLimits == nil},
		{"SecretKeys", len(cfg.SecretKeys) == 0},
	} {
		if field.unset {
			names = append(names, field.name)
		}
	}
	return names
}

// New checks the configuration and returns a Service. It does no input or output.
func New(cfg Config) (*Service, error) {
	if missing := cfg.missing(); len(missing) > 0 {
		return nil, errors.New("imagify: required but not set in Config: " + strings.Join(missing, ", "))
	}
	r := cfg.Records
	if cfg.Accept == nil {
		cfg.Accept = domain.Formats()
	}
	caps := DefaultCaps()
	if cfg.Caps.UploadBytes == 0 {
		cfg.Caps.UploadBytes = caps.UploadBytes
	}
	if cfg.Caps.Pixels == 0 {
		cfg.Caps.Pixels = caps.Pixels
	}
	if cfg.Caps.UploadTime == 0 {
		cfg.Caps.UploadTime = caps.UploadTime
	}
	if cfg.Caps.MinFree == 0 {
		cfg.Caps.MinFree = caps.MinFree
	}
	if cfg.Caps.UploadBytes < 0 || cfg.Caps.Pixels < 0 || cfg.Caps.UploadTime < 0 {
		return nil, errors.New("imagify: Config.Caps must not be negative, but for MinFree")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.SweepEvery == 0 {
		cfg.SweepEvery = 10 * time.Minute
	}
	if cfg.TrashFor == 0 {
		cfg.TrashFor = defaultTrashFor
	}
	if cfg.TrashFor < 0 {
		return nil, errors.New("imagify: Config.TrashFor must not be negative")
	}
	hasher, err := newPasswordHasher(cfg.Argon2, max(1, runtime.GOMAXPROCS(0)/2))
	if err != nil {
		return nil, err
	}
	s := &Service{
		cfg: cfg, rec: r, log: cfg.Logger, hasher: hasher, outages: newOutages(),
		spool: newSpool(cfg.SpoolDir, cfg.Caps.MinFree, cfg.Disks),
	}
	for _, k := range cfg.SecretKeys {
		sg, err := newSigner(k)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, sg)
	}
	s.feed = newFeed(r.Changes, cfg.Now, s.log)
	if cfg.NewID == nil {
		made := &ids{}
		s.cfg.NewID = func() domain.ID { return made.next(s.now()) }
	}
	s.accounts = newFeedCache(s.feed, &otter.Options[domain.ID, account]{MaximumSize: 100_000})
	s.images = newFeedCache(s.feed, &otter.Options[domain.ID, domain.Image]{MaximumSize: 100_000})
	s.tokens = newSecretCache(s.feed, 100_000, func(t domain.Token) domain.ID { return t.ID })
	s.links = newSecretCache(s.feed, 100_000, linkID)
	s.tiers = newFeedCache(s.feed, &otter.Options[struct{}, []domain.Tier]{MaximumSize: 1})
	s.bodies = otter.Must(&otter.Options[bodyKey, thumbnail]{
		MaximumWeight: bodyCacheBytes,
		Weigher:       func(_ bodyKey, t thumbnail) uint32 { return uint32(len(t.data)) + 256 },
	})
	s.feed.forget = s.forget
	if s.credentialCache, err = newCredentialCache(); err != nil {
		return nil, err
	}
	s.life, s.stop = context.WithCancel(context.Background())
	s.inflight.base = s.life
	return s, nil
}

// Run follows the change feed, writes view counts, sweeps, and hands memory back after load, until
// ctx ends or Close is called. Run it once, beside the requests.
func (s *Service) Run(ctx context.Context) {
	s.runMu.Lock()
	if s.life.Err() != nil {
		s.runMu.Unlock()
		return
	}
	s.running.Add(1)
	s.runMu.Unlock()
	defer s.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()

	var wg sync.WaitGroup
	wg.Go(func() { s.keepRunning(ctx, "change feed", func() { s.feed.run(ctx, s.cfg.Notices) }) })
	wg.Go(func() { s.keepRunning(ctx, "view counts", func() { s.runViews(ctx) }) })
	wg.Go(func() { s.keepRunning(ctx, "memory", func() { runIdleMemory(ctx) }) })
	if s.cfg.SweepEvery > 0 {
		wg.Go(func() { s.keepRunning(ctx, "sweep", func() { s.runSweep(ctx) }) })
	}
	wg.Wait()
}

// Step does once what Run does all the time but for the sweep: it follows the change feed, if the last
// poll is not of just now, and writes view counts. It is for a process that stands still
// between requests, such as a function's: nothing may be open then, and Run would be.
func (s *Service) Step(ctx context.Context) error {
	var err error
	if b := s.feed.began.Load(); b == nil || s.feed.age(b) >= pollEvery {
		c, cancel := context.WithTimeout(ctx, feedLease)
		err = s.feed.follow(c)
		cancel()
	}
	return errors.Join(err, s.flushViews(ctx))
}

// restartAfter is how long a loop rests that an adapter's panic has ended.
const restartAfter = time.Second

// keepRunning runs a loop until ctx ends. A panic of an adapter's in it, which no
// request's recovery would catch, is logged, and the loop begins again.
func (s *Service) keepRunning(ctx context.Context, name string, loop func()) {
	for ctx.Err() == nil {
		func() {
			defer func() {
				if p := recover(); p != nil {
					s.log.ErrorContext(ctx, "a background loop panicked, it begins again", "loop", name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				}
			}()
			loop()
		}()
		select {
		case <-ctx.Done():
		case <-time.After(restartAfter):
		}
	}
}

// Close ends Run and waits for it, stops work that is under way for nobody any more and writes what is
// still counted in memory. Call it after the last request.
func (s *Service) Close() error {
	var err error
	s.closed.Do(func() {
		s.runMu.Lock()
		s.stop()
		s.runMu.Unlock()
		s.running.Wait()
		s.credentialCache.entries.StopAllGoroutines()
		s.spool.close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = s.flushViews(ctx)
		s.inflight.wait()
	})
	return err
}

// Ready reports whether every backend answers and uploads have room: nil, or what does not, by the names
// "database", "changes to the database" (reads answer, but other nodes hold what changes need), "storage",
// "uploads" and "link state". They are asked at once: one that is silent
// takes no time from the others.
func (s *Service) Ready(ctx context.Context) map[string]error {
	asks := map[string]func(context.Context) error{
		"database": func(ctx context.Context) error {
			_, err := s.rec.Changes.Since(ctx, s.feed.cursor())
			return err
		},
		"storage":                 s.pingStorage,
		"changes to the database": func(context.Context) error { return s.feed.stuck() },
		"uploads":                 func(context.Context) error { return s.spool.check() },
	}
	if p, ok := s.cfg.LinkCache.(ports.Pinger); ok {
		asks["link state"] = p.Ping
	}
	var (
		mu  sync.Mutex
		wg  sync.WaitGroup
		out = map[string]error{}
	)
	for name, ask := range asks {
		wg.Go(func() {
			if err := asked(ctx, ask); err != nil {
				mu.Lock()
				defer mu.Unlock()
				out[name] = err
			}
		})
	}
	wg.Wait()
	return out
}

// asked is what a backend answers; a panic is an answer too.
func asked(ctx context.Context, ask func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = domain.Wrap(domain.Unavailable, fmt.Errorf("it panicked: %v", p), "it does not answer")
		}
	}()
	return ask(ctx)
}

func (s *Service) pingStorage(ctx context.Context) error {
	if p, ok := s.cfg.Blobs.(ports.Pinger); ok {
		return p.Ping(ctx)
	}
	_, err := s.cfg.Blobs.List(ctx, "", "", 1)
	return err
}

// now is the time by which expiry is judged: the database's clock, carried on by the local one between polls.
func (s *Service) now() time.Time { return s.feed.now() }

// forget drops what the changed things may have made cached.
func (s *Service) forget(entries []ports.Change, lost bool) {
	if lost {
		s.accounts.dropAll()
		s.images.dropAll()
		s.tokens.dropAll()
		s.links.dropAll()
		s.tiers.dropAll()
		return
	}
	for _, e := range entries {
		switch e.Kind {
		case ports.UserChanged:
			s.accounts.drop(e.ID)
		case ports.TierChanged:
			s.accounts.dropAll()
			s.tiers.dropAll()
		case ports.ImageDeleted:
			s.images.drop(e.ID)
		case ports.TokenDeleted:
			s.tokens.drop(e.ID)
		case ports.LinkRevoked:
			s.links.drop(e.ID)
		}
	}
}

// newSecret returns a random secret of 192 bits and its text.
func newSecret() string {
	var b [24]byte
	rand.Read(b[:]) // never fails: crypto/rand crashes the process instead
	return encodeSecret(b[:])
}
