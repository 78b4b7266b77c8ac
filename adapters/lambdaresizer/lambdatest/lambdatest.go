// Package lambdatest is enough of AWS Lambda to run a function's real binary on one
// machine, for tests and benchmarks: the Runtime API that the binary asks for work
// (next, response, error), the Invoke API that a caller's SDK speaks to, and what
// stands before a function on the web. Environments are processes, started on demand
// and used again, one call at a time; they stand still between calls, die, time out,
// are throttled and refuse big payloads as AWS documents it. It checks no credentials.
package lambdatest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// MaxPayload is the size of the biggest request and buffered response, in bytes.
const MaxPayload = 6 << 20

// Function is a function to run.
type Function struct {
	// Path is its binary, Env what is added to this process's environment.
	Path string
	Env  []string
	// Timeout ends a call, and the environment with it; zero means 30 seconds.
	Timeout time.Duration
	// MaxConcurrency is how many environments there may be; zero means 10.
	MaxConcurrency int
	// Freeze stops an environment (SIGSTOP) while it waits for its next call.
	Freeze bool
	// Log, if set, gets what the environments print, beside Lambda.Output.
	Log io.Writer
}

// Lambda is a running platform with one function, which answers to every name but "missing".
type Lambda struct {
	// URL is the endpoint for an SDK's client.
	URL string
	// Fail, if set, is asked before each invocation: a status that is not 0 is the answer
	// in the function's place, of the error type.
	Fail func() (status int, errorType string)

	fn     Function
	server *httptest.Server
	slots  chan struct{}

	mu     sync.Mutex
	idle   []*environment
	closed bool

	starts, calls atomic.Int64
	output        tail
}

// New starts a platform; its environments start with the first calls.
func New(fn Function) *Lambda {
	if fn.Timeout == 0 {
		fn.Timeout = 30 * time.Second
	}
	if fn.MaxConcurrency == 0 {
		fn.MaxConcurrency = 10
	}
	l := &Lambda{fn: fn, slots: make(chan struct{}, fn.MaxConcurrency)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", l.invoke)
	l.server = httptest.NewServer(mux)
	l.URL = l.server.URL
	return l
}

// Close ends every environment and waits for them.
func (l *Lambda) Close() {
	l.server.Close() // waits for calls
	l.mu.Lock()
	l.closed = true
	idle := l.idle
	l.idle = nil
	l.mu.Unlock()
	for _, e := range idle {
		e.kill()
	}
}

// Recycle ends the idle environments: the next call is a cold one.
func (l *Lambda) Recycle() {
	l.mu.Lock()
	idle := l.idle
	l.idle = nil
	l.mu.Unlock()
	for _, e := range idle {
		e.kill()
	}
}

// Starts is how many environments were started, Calls how many invocations arrived.
func (l *Lambda) Starts() int64 { return l.starts.Load() }

// Calls is how many invocations arrived.
func (l *Lambda) Calls() int64 { return l.calls.Load() }

// Pids are the processes of the idle environments.
func (l *Lambda) Pids() []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	var pids []int
	for _, e := range l.idle {
		pids = append(pids, e.cmd.Process.Pid)
	}
	return pids
}

// Output is the end of what the environments printed.
func (l *Lambda) Output() string { return l.output.String() }

// apiError answers as the Invoke API does.
func apiError(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("X-Amzn-Errortype", kind)
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "2")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"Type": "User", "Message": message, "message": message})
}

func (l *Lambda) invoke(w http.ResponseWriter, r *http.Request) {
	l.calls.Add(1)
	payload, err := io.ReadAll(io.LimitReader(r.Body, MaxPayload+1))
	switch {
	case err != nil:
		return
	case r.PathValue("name") == "missing":
		apiError(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found")
		return
	case len(payload) > MaxPayload:
		apiError(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException", "Request must be smaller than 6291456 bytes for the InvokeFunction operation")
		return
	case r.Header.Get("X-Amz-Invocation-Type") == "DryRun":
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if l.Fail != nil {
		if status, kind := l.Fail(); status != 0 {
			apiError(w, status, kind, "as the test says")
			return
		}
	}
	a, err := l.call(r.Context(), payload)
	if errors.Is(err, errThrottled) {
		apiError(w, http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded.")
		return
	}
	if err != nil {
		apiError(w, http.StatusInternalServerError, "ServiceException", err.Error())
		return
	}
	if len(a.body) > MaxPayload {
		a = failure("Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (6291556 bytes).")
	}
	if a.failed {
		w.Header().Set("X-Amz-Function-Error", "Unhandled")
	}
	w.Header().Set("X-Amz-Executed-Version", "$LATEST")
	_, _ = w.Write(a.body)
}

var errThrottled = errors.New("throttled")

// reply is what an environment gave back, or what the platform says in its place.
type reply struct {
	body        []byte
	contentType string
	failed      bool
}

func failure(kind, message string) reply {
	body, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message})
	return reply{body: body, failed: true}
}

// call runs the event in an environment: an idle one, else a new one.
func (l *Lambda) call(ctx context.Context, payload []byte) (reply, error) {
	select {
	case l.slots <- struct{}{}:
	default:
		return reply{}, errThrottled
	}
	defer func() { <-l.slots }()
	l.mu.Lock()
	var e *environment
	if n := len(l.idle); n > 0 {
		e, l.idle = l.idle[n-1], l.idle[:n-1]
	}
	l.mu.Unlock()
	if e == nil {
		var err error
		if e, err = l.start(); err != nil {
			return reply{}, err
		}
	}
	a, alive := e.run(ctx, payload, l.fn.Timeout)
	if !alive {
		e.kill()
		return a, nil
	}
	l.mu.Lock()
	closed := l.closed
	if !closed {
		l.idle = append(l.idle, e)
	}
	l.mu.Unlock()
	if closed {
		e.kill()
	}
	return a, nil
}

// environment is a process and the Runtime API that it alone speaks to.
type environment struct {
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of the exit
	api    *http.Server
	events chan work
	answer chan reply
	stop   context.CancelFunc
	freeze bool

	mu     sync.Mutex
	wanted bool // there is an event for it
	frozen bool
}

type work struct {
	id       string
	payload  []byte
	deadline time.Time
}

func (l *Lambda) start() (*environment, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.Background())
	e := &environment{exited: make(chan struct{}), events: make(chan work), answer: make(chan reply, 1), stop: stop, freeze: l.fn.Freeze}
	const base = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+base+"invocation/next", e.next)
	mux.HandleFunc("POST "+base+"invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) { e.done(w, r, false) })
	mux.HandleFunc("POST "+base+"invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) { e.done(w, r, true) })
	mux.HandleFunc("POST "+base+"init/error", func(w http.ResponseWriter, r *http.Request) { e.done(w, r, true) })
	e.api = &http.Server{Handler: mux, BaseContext: func(net.Listener) context.Context { return life }, ReadHeaderTimeout: time.Minute}
	go func() { _ = e.api.Serve(listener) }()
	e.cmd = exec.CommandContext(life, l.fn.Path)
	e.cmd.Env = append(append(os.Environ(), "AWS_LAMBDA_RUNTIME_API="+listener.Addr().String(), "AWS_LAMBDA_FUNCTION_NAME=imagify",
		"AWS_EXECUTION_ENV=AWS_Lambda_provided.al2023"), l.fn.Env...)
	var out io.Writer = &l.output
	if l.fn.Log != nil {
		out = io.MultiWriter(out, l.fn.Log)
	}
	e.cmd.Stdout, e.cmd.Stderr = out, out
	if err := e.cmd.Start(); err != nil {
		stop()
		_ = e.api.Close()
		return nil, err
	}
	l.starts.Add(1)
	go func() {
		e.err = e.cmd.Wait()
		close(e.exited)
	}()
	return e, nil
}

// run hands one event to the process; false if the environment is no more.
func (e *environment) run(ctx context.Context, payload []byte, timeout time.Duration) (reply, bool) {
	over := time.NewTimer(timeout)
	defer over.Stop()
	e.thaw()
	w := work{id: strconv.FormatInt(time.Now().UnixNano(), 36), payload: payload, deadline: time.Now().Add(timeout)}
	select {
	case e.events <- w:
	case <-e.exited:
		return failure("Runtime.ExitError", fmt.Sprintf("RequestId: %s Error: Runtime exited with error: %v", w.id, e.err)), false
	case <-over.C:
		return failure("Sandbox.Timedout", fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", w.id, timeout.Seconds())), false
	}
	_ = ctx // a caller that goes away does not stop a function
	select {
	case a := <-e.answer:
		return a, true
	case <-e.exited:
		select {
		case a := <-e.answer: // told before it went
			return a, false
		default:
		}
		return failure("Runtime.ExitError", fmt.Sprintf("RequestId: %s Error: Runtime exited with error: %v", w.id, e.err)), false
	case <-over.C:
		return failure("Sandbox.Timedout", fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", w.id, timeout.Seconds())), false
	}
}

// thaw lets the process run for an event that is about to be handed to it.
func (e *environment) thaw() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wanted = true
	if e.frozen {
		_ = e.cmd.Process.Signal(syscall.SIGCONT)
		e.frozen = false
	}
}

// rest stops the process until there is an event for it.
func (e *environment) rest() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.freeze && !e.wanted {
		e.frozen = e.cmd.Process.Signal(syscall.SIGSTOP) == nil
	}
}

func (e *environment) next(w http.ResponseWriter, r *http.Request) {
	e.rest()
	select {
	case job := <-e.events:
		e.mu.Lock()
		e.wanted = false
		e.mu.Unlock()
		h := w.Header()
		h.Set("Lambda-Runtime-Aws-Request-Id", job.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(job.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-central-1:123456789012:function:imagify")
		h.Set("Content-Type", "application/json")
		_, _ = w.Write(job.payload)
	case <-r.Context().Done():
	}
}

func (e *environment) done(w http.ResponseWriter, r *http.Request, failed bool) {
	body, err := io.ReadAll(r.Body)
	a := reply{body: body, contentType: r.Header.Get("Content-Type"), failed: failed}
	if kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); err != nil || kind != "" {
		a.failed = true // a stream that broke off; what was sent stays sent
	}
	select {
	case e.answer <- a:
		w.WriteHeader(http.StatusAccepted)
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
}

func (e *environment) kill() {
	e.stop()
	<-e.exited
	_ = e.api.Close()
}

// tail keeps the last 64 KiB written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if over := len(t.b) - 64<<10; over > 0 {
		t.b = bytes.Clone(t.b[over:])
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
