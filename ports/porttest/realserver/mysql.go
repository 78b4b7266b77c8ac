package realserver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// MySQL is a MySQL or MariaDB server. The user root has all rights and no password.
type MySQL struct {
	*Process
	// Addr is where it listens, as host:port.
	Addr string
	// MariaDB tells which of the two it is.
	MariaDB bool
}

// URL is the address of a database on the server, as mysql://user@host:port/name.
func (s *MySQL) URL(database string) string {
	return (&url.URL{Scheme: "mysql", User: url.User("root"), Host: s.Addr, Path: "/" + database}).String()
}

// common holds a server small and quiet. Durability stays at the default: what
// was committed outlives the server.
var common = []string{
	"--skip-log-bin", "--innodb-use-native-aio=0", "--innodb-buffer-pool-size=64M", "--character-set-server=utf8mb4",
	"--max-connections=400",
}

// StartMySQL starts MySQL 8 or later: the one that mysql.sh put into .cache/mysql,
// else the PATH's.
func StartMySQL(t testing.TB) *MySQL {
	t.Helper()
	path := filepath.Join(Cache(t), "mysql", "mysqld")
	args := common
	if !isProgram(path) {
		path = Find(t, "mysqld")
		args = append([]string{"--no-defaults"}, common...)
	}
	version := versionOf(t, path)
	if strings.Contains(version, "MariaDB") {
		Missing(t, "MySQL (the mysqld that is installed is MariaDB)")
	}
	args = append(append([]string{}, args...), "--secure-file-priv=NULL", "--mysqlx=OFF", "--performance-schema=OFF", "--innodb-redo-log-capacity=32M")
	template := templateOf(t, "mysql", version, func(dir string) *exec.Cmd {
		return exec.CommandContext(t.Context(), path, append(append([]string{}, args...), asRoot("--initialize-insecure", "--datadir="+dir)...)...)
	})
	return startMySQL(t, path, args, template, false)
}

// StartMariaDB starts the MariaDB that is installed.
func StartMariaDB(t testing.TB) *MySQL {
	t.Helper()
	path, install := Find(t, "mariadbd"), Find(t, "mariadb-install-db")
	args := append([]string{"--no-defaults", "--innodb-log-file-size=32M"}, common...)
	template := templateOf(t, "mariadb", versionOf(t, path), func(dir string) *exec.Cmd {
		return exec.CommandContext(t.Context(), install, asRoot("--no-defaults", "--datadir="+dir,
			"--auth-root-authentication-method=normal", "--skip-test-db")...)
	})
	return startMySQL(t, path, args, template, true)
}

func startMySQL(t testing.TB, path string, args []string, template string, mariaDB bool) *MySQL {
	t.Helper()
	// Not t.TempDir: a socket's path is at most 107 bytes long.
	dir, err := os.MkdirTemp("", "imagify-mysql-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	data := filepath.Join(dir, "data")
	if err := os.CopyFS(data, os.DirFS(template)); err != nil {
		t.Fatalf("copy %s: %v", template, err)
	}
	addr := FreeAddr(t)
	host, port, _ := strings.Cut(addr, ":")
	args = append(append([]string{}, args...), asRoot("--datadir="+data, "--socket="+filepath.Join(dir, "s"),
		"--pid-file="+filepath.Join(dir, "pid"), "--bind-address="+host, "--port="+port)...)
	p := Start(t, dir, nil, Dialed(addr), path, args...)
	return &MySQL{Process: p, Addr: addr, MariaDB: mariaDB}
}

// asRoot adds the consent that a server wants before it runs as root.
func asRoot(args ...string) []string {
	if os.Getuid() == 0 {
		args = append(args, "--user=root")
	}
	return args
}

func versionOf(t testing.TB, path string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	if err != nil {
		t.Fatalf("%s --version: %v\n%s", path, err, out)
	}
	return string(out)
}

// templateOf is a fresh data folder of a server, made once for each version and
// kept in .cache: a start from a copy of it takes less than a second.
func templateOf(t testing.TB, name, version string, initialize func(dir string) *exec.Cmd) string {
	t.Helper()
	sum := sha256.Sum256([]byte(version))
	template := filepath.Join(Cache(t), "mysql-data", name+"-"+hex.EncodeToString(sum[:4]))
	if _, err := os.Stat(template); err == nil {
		return template
	}
	if err := makeTemplate(template, initialize); err != nil {
		t.Fatal(err)
	}
	return template
}

func makeTemplate(template string, initialize func(dir string) *exec.Cmd) error {
	if err := os.MkdirAll(filepath.Dir(template), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(template), ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	data := filepath.Join(dir, "data")
	cmd := initialize(data)
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	_ = os.Remove(filepath.Join(data, "auto.cnf")) // the server's own id: each copy makes one
	err = os.Rename(data, template)
	if _, statErr := os.Stat(template); statErr == nil {
		return nil // of several test programs one was first
	}
	return err
}
