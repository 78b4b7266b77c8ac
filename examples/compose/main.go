// Command compose starts what compose.yaml describes, without containers: nginx, three
// imagify nodes, MySQL, Redis and an S3 service on free ports of 127.0.0.1, with
// their files in a temporary folder. It prints the address, and stops everything at
// an interrupt. `make cluster` runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"text/tabwriter"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	program := flags.String("imagify", "bin/imagify", "the program that the nodes run")
	addr := flags.String("addr", "", "nginx's address, by default a free port of 127.0.0.1")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return hosted(ctx, func(t testing.TB) error {
		c := start(t, *program, *addr)
		show(out, c)
		<-ctx.Done()
		fmt.Fprintln(out, "\nstopping")
		return nil
	})
}

func show(out io.Writer, c *cluster) {
	fmt.Fprintf(out, "imagify cluster on a temporary folder, until Ctrl-C.\n\n  %s    nginx, before three nodes\n\n", c.url)
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for i, n := range c.nodes {
		fmt.Fprintf(t, "  node %d\t%s\tprocess %d\n", i+1, n.url, n.Pid())
	}
	fmt.Fprintf(t, "  MySQL\t%s\tprocess %d\n", c.mysql.Addr, c.mysql.Pid())
	fmt.Fprintf(t, "  Redis\t%s\tprocess %d\n", c.redis.Addr, c.redis.Pid())
	fmt.Fprintf(t, "  S3\t%s\tprocess %d\n", c.s3.URL, c.s3.Pid())
	fmt.Fprintln(t, "\n  USER\tPASSWORD\tTIER\tTOKEN")
	for _, u := range c.users {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", u.name, u.password, u.tier, u.token)
	}
	_ = t.Flush()
	last := c.users[len(c.users)-1]
	fmt.Fprintf(out, `
Try (upload through one node, read through another, stop one with kill -9):
  curl -u %[2]s:%[3]s -F file=@photo.jpg %[4]s/v1/images
  curl -u %[2]s:%[3]s '%[5]s/v1/images?limit=1'
  curl %[1]s/readyz

The command line on the same backends:
  env $(cat %[6]s) ./bin/imagify doctor

`, c.url, last.name, last.password, c.nodes[0].url, c.nodes[1].url, c.settings)
}

// host stands in for a test where there is none: what was started for it is stopped
// when it ends.
type host struct {
	testing.TB // nil: what is not below is not needed
	ctx        context.Context
	cleanups   []func()
}

// hosted runs fn with a host.
func hosted(ctx context.Context, fn func(t testing.TB) error) (err error) {
	h := &host{ctx: ctx}
	defer func() {
		switch failed := recover().(type) {
		case nil:
		case failure:
			err = failed
		default:
			defer panic(failed)
		}
		for i := len(h.cleanups) - 1; i >= 0; i-- {
			h.cleanups[i]()
		}
	}()
	return fn(h)
}

// failure is why a host could not go on.
type failure string

func (f failure) Error() string { return string(f) }

func (h *host) Helper()                           {}
func (h *host) Context() context.Context          { return h.ctx }
func (h *host) Cleanup(f func())                  { h.cleanups = append(h.cleanups, f) }
func (h *host) Fatal(args ...any)                 { panic(failure(fmt.Sprint(args...))) }
func (h *host) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }
func (h *host) Skipf(format string, args ...any)  { h.Fatalf(format, args...) }

func (h *host) TempDir() string {
	dir, err := os.MkdirTemp("", "imagify-cluster-")
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
