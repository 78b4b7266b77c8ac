package main

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver "mysql"

	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

// nginxTemplate is the configuration that nginx has in compose.yaml too.
//
//go:embed nginx.conf.template
var nginxTemplate string

// cluster is what runs.
type cluster struct {
	url      string // nginx's
	nodes    []*node
	mysql    *realserver.MySQL
	redis    *realserver.RedisServer
	s3       *realserver.S3Server
	users    []user
	settings string // a file of the nodes' environment, without their own addresses
}

type node struct {
	*realserver.Process
	url string
}

type user struct{ name, password, tier, token string }

const nodes = 3

// mysqlGrants and redisRights are what imagify needs, and no more.
const (
	mysqlGrants = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX"
	redisRights = "~imagify:* &imagify:* +eval +evalsha +get +set +del +pttl +time +info +publish +subscribe +ping"
)

// start starts everything and returns when it answers. program is imagify; addr is
// nginx's, empty for a free port.
func start(t testing.TB, program, addr string) *cluster {
	t.Helper()
	program, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	if addr == "" {
		addr = realserver.FreeAddr(t)
	}
	c := &cluster{url: "http://" + addr, mysql: realserver.StartMySQL(t), s3: realserver.S3(t)}
	password := rand.Text()
	c.redis = realserver.Redis(t, append([]string{"--maxmemory-policy", "volatile-ttl", "--user", "imagify", "on", ">" + password}, strings.Fields(redisRights)...)...)
	c.prepareMySQL(t, password)
	c.s3.Bucket(t, "imagify")

	admin := user{name: "admin", password: rand.Text(), tier: "(admin)"}
	env := []string{
		"IMAGIFY_PUBLIC_URL=" + c.url,
		"IMAGIFY_TRUSTED_PROXIES=127.0.0.1",
		"IMAGIFY_DATABASE_URL=mysql://imagify:" + password + "@" + c.mysql.Addr + "/imagify",
		"IMAGIFY_STORAGE_URL=s3://imagify?region=us-east-1&endpoint=" + c.s3.URL + "&path_style=true&file_keys=true",
		"IMAGIFY_REDIS_URL=redis://imagify:" + password + "@" + c.redis.Addr,
		"IMAGIFY_SECRET_KEY=" + rand.Text(),
		"IMAGIFY_ADMIN_PASSWORD=" + admin.password,
		"AWS_ACCESS_KEY_ID=" + c.s3.AccessKey,
		"AWS_SECRET_ACCESS_KEY=" + c.s3.SecretKey,
	}
	dir := t.TempDir() // without a .env file
	c.settings = filepath.Join(dir, "settings")
	if err := os.WriteFile(c.settings, []byte(strings.Join(env, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range nodes {
		listen := realserver.FreeAddr(t)
		url := "http://" + listen
		c.nodes = append(c.nodes, &node{url: url, Process: realserver.Start(t, dir, append([]string{"IMAGIFY_ADDR=" + listen}, env...), answers(t, url), program, "serve")})
	}
	c.startNginx(t, addr)
	for _, u := range []user{{name: "basic", tier: "BasicTierUsers"}, {name: "premium", tier: "PremiumTierUsers"}, {name: "enterprise", tier: "EnterpriseTierUsers"}} {
		u.password = rand.Text()
		command(t, program, dir, env, u.password, "user", "create", u.name, "--tier", u.tier, "--password-stdin")
		u.token = command(t, program, dir, env, "", "token", "create", "--user", u.name)
		c.users = append(c.users, u)
	}
	c.users = append([]user{admin}, c.users...)
	return c
}

func (c *cluster) prepareMySQL(t testing.TB, password string) {
	t.Helper()
	db, err := sql.Open("mysql", "root@tcp("+c.mysql.Addr+")/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, statement := range []string{
		"CREATE DATABASE imagify",
		"CREATE USER imagify IDENTIFIED BY '" + password + "'",
		"GRANT " + mysqlGrants + " ON imagify.* TO imagify",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (c *cluster) startNginx(t testing.TB, addr string) {
	t.Helper()
	program := realserver.Find(t, "nginx")
	dir := t.TempDir()
	values := map[string]string{"LISTEN": addr}
	for i, n := range c.nodes {
		values[fmt.Sprintf("NODE_%d", i+1)] = strings.TrimPrefix(n.url, "http://")
	}
	conf := nginxConf(dir, values)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	realserver.Start(t, dir, nil, answers(t, c.url), program, "-p", dir, "-e", "stderr", "-c", path)
}

// nginxConf is a whole configuration around the template, with its files in dir.
func nginxConf(dir string, values map[string]string) string {
	user := ""
	if os.Getuid() == 0 {
		user = "user root;\n" // the folder is root's alone
	}
	var paths strings.Builder
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&paths, "%s_temp_path %s;\n", name, filepath.Join(dir, name))
	}
	site := os.Expand(nginxTemplate, func(name string) string {
		if value, ok := values[name]; ok {
			return value
		}
		return "$" + name // nginx's own
	})
	return user + "daemon off;\nworker_processes 2;\npid " + filepath.Join(dir, "pid") + ";\nevents { worker_connections 1024; }\n" +
		"http {\naccess_log off;\n" + paths.String() + site + "}\n"
}

// answers is a ready function for a server that is ready when /readyz says so.
func answers(t testing.TB, url string) func() error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/readyz", nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s/readyz: %s", url, res.Status)
		}
		return nil
	}
}

// command runs one of imagify's commands and returns what it prints.
func command(t testing.TB, program, dir string, env []string, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, append(os.Environ(), env...), strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("imagify %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(out.String())
}
