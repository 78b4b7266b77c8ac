// Command mutate plants small faults in the project's code, one at a time, and tells
// which of them no test notices.
//
// All mutants of a package are compiled into one test binary behind a switch (a
// variable of the environment), so that a run costs the tests and not a build for each
// mutant. What a mutant may be is in plant.go. First every test is run alone, with
// all mutants off, and notes which mutants it reaches; then each mutant is switched on for
// the tests that reach it, the quickest first, until one fails.
//
// A mutant that loops, eats memory or ends the process counts as noticed, because its limits
// are far above what the tests take without it. One that is equivalent to the code is listed
// in equivalents.txt with its reason; no other is excused.
//
//	go run ./cmd/internal/mutate -sample 60 -floor 0.85 ./domain ./app
//
// Exit status 0 where the share of noticed mutants reaches the floor, 1 where it does not,
// 2 where the packages cannot be built or their tests fail without a mutant.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.tags, "tags", "nomsgpack", "build tags")
	flag.Uint64Var(&o.seed, "seed", 1, "which mutants a sample takes")
	flag.IntVar(&o.sample, "sample", 0, "how many mutants to try in all, spread over the packages by their size; 0 tries every one")
	flag.Float64Var(&o.floor, "floor", 0, "the least share of noticed mutants, 0 to 1")
	flag.IntVar(&o.parallel, "parallel", runtime.GOMAXPROCS(0), "how many tests run at a time")
	flag.DurationVar(&o.limit, "limit", 20*time.Second, "the least time a test is given; it gets ten times what it takes without a mutant if that is more")
	flag.StringVar(&o.equivalents, "equivalents", "cmd/internal/mutate/equivalents.txt", "the list of mutants that change nothing")
	flag.StringVar(&o.only, "only", "", "only mutants whose description contains this")
	flag.BoolVar(&o.list, "list", false, "list the mutants and try none")
	flag.Parse()
	o.packages = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := run(ctx, o)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(2)
	case !ok:
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	tags, equivalents, only string
	packages                []string
	seed                    uint64
	sample, parallel        int
	floor                   float64
	limit                   time.Duration
	list                    bool
}

func run(ctx context.Context, o options) (ok bool, err error) {
	if len(o.packages) == 0 {
		return false, errors.New("name the packages, such as ./domain ./app")
	}
	excused, err := readEquivalents(o.equivalents)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	pkgs, err := plant(ctx, o, dir)
	if err != nil {
		return false, err
	}
	chosen := choose(pkgs, o, excused)
	if o.list {
		for _, p := range pkgs {
			for _, m := range chosen[p] {
				fmt.Println(m)
			}
		}
		return true, nil
	}
	var results []result
	for _, p := range pkgs {
		if len(chosen[p]) == 0 {
			continue
		}
		r, err := try(ctx, o, p, chosen[p], dir)
		if err != nil {
			return false, fmt.Errorf("%s: %w", p.path, err)
		}
		results = append(results, r)
	}
	for _, stale := range excused.unused() {
		fmt.Printf("equivalents.txt: no mutant is %q any more\n", stale)
	}
	return report(results, o.floor), nil
}

// choose takes the mutants to try: of every package a share by its size.
func choose(pkgs []*pkg, o options, excused *equivalents) map[*pkg][]*mutant {
	out := map[*pkg][]*mutant{}
	total := 0
	for _, p := range pkgs {
		for _, m := range p.mutants {
			if strings.Contains(m.String(), o.only) && !excused.has(m) {
				out[p] = append(out[p], m)
				total++
			}
		}
	}
	if o.sample == 0 || o.sample >= total {
		return out
	}
	random := rand.New(rand.NewPCG(o.seed, o.seed))
	left := o.sample
	for _, p := range pkgs {
		all := out[p]
		n := min((len(all)*left+total-1)/max(total, 1), left)
		total, left = total-len(all), left-n
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:n]
		slices.SortFunc(all, func(a, b *mutant) int { return a.id - b.id })
		out[p] = all
	}
	return out
}

// result is what became of a package's mutants.
type result struct {
	path     string
	noticed  int
	survived []*mutant // reached by a test that went on to pass
	missed   []*mutant // reached by none
}

// try runs a package's tests with each mutant.
func try(ctx context.Context, o options, p *pkg, mutants []*mutant, dir string) (result, error) {
	r := result{path: p.path}
	began := time.Now()
	b, err := p.baseline(ctx, o, dir)
	if err != nil {
		return r, err
	}
	fmt.Fprintf(os.Stderr, "%s: %d mutants, %d tests, ready after %s\n", p.path, len(mutants), len(b.tests), time.Since(began).Round(time.Second))
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, o.parallel)
	for _, m := range mutants {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			reached, noticed := b.try(ctx, o, m)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case noticed:
				r.noticed++
			case reached:
				r.survived = append(r.survived, m)
			default:
				r.missed = append(r.missed, m)
			}
		})
	}
	wg.Wait()
	return r, ctx.Err()
}

// report prints the table and the mutants that nothing noticed, and tells whether the floor is reached.
func report(results []result, floor float64) bool {
	t := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "package\tmutants\tnoticed\tsurvived\tnot reached\tshare\t")
	ok := true
	for _, r := range results {
		n := r.noticed + len(r.survived) + len(r.missed)
		share := float64(r.noticed) / float64(n)
		ok = ok && share >= floor
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%.1f %%\t\n", r.path, n, r.noticed, len(r.survived), len(r.missed), 100*share)
	}
	_ = t.Flush()
	for _, r := range results {
		for _, m := range r.survived {
			fmt.Println("survived   ", m)
		}
		for _, m := range r.missed {
			fmt.Println("not reached", m)
		}
	}
	if !ok {
		fmt.Printf("below the floor of %.0f %%: give each mutant above a test that notices it, or a line with its reason in equivalents.txt\n", 100*floor)
	}
	return ok
}
