// Command imagify hosts users' images by subscription tier: the server, and
// every task of its operator. `imagify --help` lists the commands.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/imagify-api/imagify/domain"
)

// version is set by the linker.
var version = "dev"

func main() {
	// A dependency sets GOMAXPROCS to the number of processors; Go's own choice knows a container's share.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.SetDefaultGOMAXPROCS()
	}
	// Decoding leaves much garbage at once: above this the collector works harder.
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}, os.Getenv)
	stop()
	os.Exit(code)
}

// memoryLimit is the heap above which the garbage collector works harder, in
// bytes: what the resizer admits by default, and room beside it; serve knows how much it admits. GOMEMLIMIT overrides it.
const (
	memoryLimit  = 512<<20 + memoryBeside
	memoryBeside = 128 << 20
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// stdio is what a command reads and prints to.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is wrong usage or a wrong setting: exit code 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// cli is the command line. A field's help is its `help` tag.
type cli struct {
	Serve     serveCmd     `cmd:"" help:"Run the server."`
	Demo      demoCmd      `cmd:"" help:"Run the server on a fresh temporary folder with one user per tier and sample pictures."`
	Migrate   migrateCmd   `cmd:"" help:"Migrate the database schema up or down, or show its status."`
	User      userCmd      `cmd:"" help:"Manage users."`
	Tier      tierCmd      `cmd:"" help:"Manage tiers."`
	Token     tokenCmd     `cmd:"" help:"Manage API tokens."`
	Upload    uploadCmd    `cmd:"" help:"Upload pictures to a server."`
	Thumbnail thumbnailCmd `cmd:"" help:"Make thumbnails of local files, without a server."`
	Backup    backupCmd    `cmd:"" help:"Back up an installation on SQLite and files while it runs."`
	Restore   restoreCmd   `cmd:"" help:"Create an installation from a backup."`
	Verify    verifyCmd    `cmd:"" help:"Check every original against its record."`
	Explain   explainCmd   `cmd:"" help:"Explain why a user may or may not do something with an image."`
	Sweep     sweepCmd     `cmd:"" help:"Remove stored data that no record refers to."`
	Doctor    doctorCmd    `cmd:"" help:"Check the configuration and every backend."`
	Ready     readyCmd     `cmd:"" help:"Ask a running server whether it is ready."`
	Version   versionCmd   `cmd:"" help:"Print the version."`
}

// program is what every command is given.
type program struct {
	ctx context.Context
	stdio
	getenv func(string) string
	// environ lists the environment's variables as os.Environ does.
	environ func() []string
	// unknown is what there is to say of variables that look like settings, once they are loaded.
	unknown []string
}

// run is the program: it returns the exit code.
func run(ctx context.Context, args []string, io stdio, getenv func(string) string) int {
	p := &program{ctx: ctx, stdio: io, getenv: getenv, environ: os.Environ}
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("imagify"),
		kong.Description("imagify hosts users' images by subscription tier.\n\nSettings come from the environment (IMAGIFY_…) or a .env file in the working folder; .env.example lists them."),
		kong.Writers(io.out, io.err),
		kong.Exit(func(code int) { exited = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Bind(p),
	)
	if err != nil {
		fmt.Fprintln(io.err, "imagify:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited // --help
	}
	if err != nil {
		fmt.Fprintf(io.err, "imagify: %v\nrun 'imagify %s--help' for usage\n", err, commandOf(parser, args))
		return exitUsage
	}
	if name := contradicted(k); name != "" {
		fmt.Fprintf(io.err, "imagify: --%s is given more than once: name it once\n", name)
		return exitUsage
	}
	return p.report(k.Run(p))
}

// contradicted is the name of a flag that takes one value and was given several times; empty if there is
// none. Of two values one would be lost without a word.
func contradicted(k *kong.Context) string {
	seen := map[*kong.Flag]bool{}
	for _, step := range k.Path {
		f := step.Flag
		if f == nil || f.IsSlice() || f.IsCumulative() {
			continue
		}
		if seen[f] {
			return f.Name
		}
		seen[f] = true
	}
	return ""
}

// commandOf is the command's name, if there is one of the name that was given, for the hint to its help.
func commandOf(k *kong.Kong, args []string) string {
	if len(args) > 0 && slices.ContainsFunc(k.Model.Children, func(n *kong.Node) bool { return n.Name == args[0] }) {
		return args[0] + " "
	}
	return ""
}

// report prints a failure in one line and returns the exit code.
func (p *program) report(err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintln(p.err, "imagify:", usage.err)
		return exitUsage
	}
	fmt.Fprintln(p.err, "imagify:", message(err))
	if domain.CodeOf(err) == domain.Invalid {
		return exitUsage
	}
	return exitFailed
}

// message is what an operator should read of an error: what the core says, and its private cause.
func message(err error) string {
	e := domain.AsError(err)
	switch {
	case e.Code == domain.Internal && e.Msg == "":
		return err.Error()
	case e.Err != nil:
		return e.Msg + ": " + e.Err.Error()
	}
	return e.Msg
}

type versionCmd struct{}

func (versionCmd) Run(p *program) error {
	_, err := fmt.Fprintln(p.out, "imagify", version)
	return err
}

// recovered makes a panic on a goroutine of a command's own an error; it is deferred.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("a bug in imagify, please report it: %v\n%s", p, debug.Stack())
	}
}
