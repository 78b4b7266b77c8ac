package realserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// S3Server is a running S3 service: versitygw on a folder. Its clients give path
// style addresses, any region, and the key pair.
type S3Server struct {
	*Process
	// Addr is its host:port, URL the same as an http URL.
	Addr, URL string
	// AccessKey and SecretKey are its only account.
	AccessKey, SecretKey string
	// Dir holds a folder for each bucket, and in it a file for each object: what
	// nobody could do to S3, a test does here.
	Dir string
}

// S3 starts an S3 service without a bucket. args are added to its own, before those of
// the folder.
func S3(t testing.TB, args ...string) *S3Server {
	t.Helper()
	path := Find(t, "versitygw")
	dir := t.TempDir()
	s := &S3Server{Addr: FreeAddr(t), AccessKey: "test", SecretKey: "testtesttest", Dir: filepath.Join(dir, "data")}
	s.URL = "http://" + s.Addr
	versions := filepath.Join(dir, "versions")
	for _, d := range []string{s.Dir, versions} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	args = append([]string{"--port", s.Addr, "--quiet"}, args...)
	s.Process = Start(t, dir, []string{"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey}, Dialed(s.Addr),
		path, append(args, "posix", "--versioning-dir", versions, s.Dir)...)
	return s
}

// User adds an account that may do nothing yet. The service must have been started
// with --iam-dir and a folder.
func (s *S3Server) User(t testing.TB, accessKey, secretKey string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), s.path, "admin", "--access", s.AccessKey, "--secret", s.SecretKey, "--endpoint-url", s.URL,
		"create-user", "--access", accessKey, "--secret", secretKey, "--role", "user").CombinedOutput()
	if err != nil {
		t.Fatalf("versitygw admin create-user: %v\n%s", err, out)
	}
}

// Bucket makes a bucket, as a folder.
func (s *S3Server) Bucket(t testing.TB, name string) string {
	t.Helper()
	if err := os.Mkdir(filepath.Join(s.Dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}
