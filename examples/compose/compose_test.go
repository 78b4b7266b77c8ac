package main

import (
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/joho/godotenv"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/imagify-api/imagify/adapters/redisstate"
	"github.com/imagify-api/imagify/adapters/s3blob"
	"github.com/imagify-api/imagify/ports/porttest/realserver"
)

type composeFile struct {
	Services map[string]service
	Volumes  map[string]any
	Networks map[string]struct {
		IPAM struct {
			Config []struct{ Subnet string }
		}
	}
}

type service struct {
	Image, Build string
	Environment  map[string]string
	Command      []string
	Entrypoint   []string
	Ports        []string
	Volumes      []string
	DependsOn    map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck  *struct {
		Test    []string
		Retries int
	}
	Restart string
}

func read(t *testing.T) (f composeFile) {
	t.Helper()
	text, err := os.ReadFile("compose.yaml")
	require.NoError(t, err)
	var top map[string]any
	require.NoError(t, yaml.Unmarshal(text, &top))
	known := []string{"name", "networks", "services", "volumes", "x-node"}
	assert.Equal(t, known, slices.Sorted(maps.Keys(top)))
	require.NoError(t, yaml.Unmarshal(text, &f))
	return f
}

// Every service is there, runs by itself, says whether it is well, and waits for what it needs.
func TestComposeServices(t *testing.T) {
	t.Parallel()
	f := read(t)
	assert.Equal(t, []string{"bucket", "mysql", "nginx", "node1", "node2", "node3", "redis", "s3"}, slices.Sorted(maps.Keys(f.Services)))
	for name, s := range f.Services {
		assert.NotContains(t, s.Image, "latest", name)
		if s.Build == "" {
			assert.Contains(t, s.Image, ":", "%s: a version", name)
		}
		for on, c := range s.DependsOn {
			require.Contains(t, f.Services, on, name)
			want := "service_healthy"
			if on == "bucket" {
				want = "service_completed_successfully"
			} else {
				require.NotNil(t, f.Services[on].Healthcheck, on)
			}
			assert.Equal(t, want, c.Condition, "%s on %s", name, on)
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if !strings.HasPrefix(from, ".") {
				assert.Contains(t, f.Volumes, from, name)
				continue
			}
			assert.FileExists(t, from)
		}
		if name == "bucket" {
			continue // runs once
		}
		assert.Equal(t, "unless-stopped", s.Restart, name)
		require.NotNil(t, s.Healthcheck, name)
		assert.NotEmpty(t, s.Healthcheck.Test, name)
		assert.Positive(t, s.Healthcheck.Retries, name)
		if name != "nginx" {
			assert.Empty(t, s.Ports, "%s is reached from inside alone", name)
		}
	}
	for _, name := range []string{"node1", "node2", "node3"} {
		n := f.Services[name]
		assert.Equal(t, f.Services["node1"], n, "the nodes are alike")
		assert.Equal(t, []string{"mysql", "redis", "s3"}, slices.Sorted(maps.Keys(n.DependsOn)))
		_, err := os.Stat(filepath.Join(n.Build, "Dockerfile"))
		assert.NoError(t, err)
	}
}

var variable = regexp.MustCompile(`\$\{(\w+)[^}]*\}|\$\$?\w+`)

// Each variable that the file asks for is in .env.example, each setting of the nodes is one
// of imagify's, and the URLs are such as the adapters take.
func TestComposeSettings(t *testing.T) {
	t.Parallel()
	f := read(t)
	secrets, err := godotenv.Read(".env.example")
	require.NoError(t, err)
	text, err := os.ReadFile("compose.yaml")
	require.NoError(t, err)
	asked := map[string]bool{}
	for _, m := range variable.FindAllStringSubmatch(string(text), -1) {
		if m[1] != "" {
			asked[m[1]] = true
		}
	}
	assert.Equal(t, slices.Sorted(maps.Keys(secrets)), slices.Sorted(maps.Keys(asked)))

	settings, err := godotenv.Read("../../.env.example")
	require.NoError(t, err)
	env := map[string]string{}
	for name, value := range f.Services["node1"].Environment {
		if !strings.HasPrefix(name, "AWS_") {
			assert.Contains(t, settings, name, "imagify has no such setting")
		}
		env[name] = variable.ReplaceAllString(value, "0123456789abcdef")
	}
	u, err := url.Parse(env["IMAGIFY_DATABASE_URL"])
	require.NoError(t, err)
	assert.Equal(t, "mysql", u.Hostname())
	mysql := f.Services["mysql"].Environment
	assert.Equal(t, mysql["MYSQL_USER"], u.User.Username())
	assert.Equal(t, mysql["MYSQL_DATABASE"], strings.TrimPrefix(u.Path, "/"))
	_, err = s3blob.Open(t.Context(), env["IMAGIFY_STORAGE_URL"])
	require.NoError(t, err)
	bucket, _, _ := strings.Cut(strings.TrimPrefix(env["IMAGIFY_STORAGE_URL"], "s3://"), "?")
	assert.Equal(t, "/data/"+bucket, f.Services["bucket"].Entrypoint[2])
	assert.Equal(t, f.Services["s3"].Environment["ROOT_ACCESS_KEY"], env["AWS_ACCESS_KEY_ID"])
	state, err := redisstate.Open(env["IMAGIFY_REDIS_URL"], redisstate.Options{})
	require.NoError(t, err)
	require.NoError(t, state.Close())
	assert.Equal(t, f.Networks["default"].IPAM.Config[0].Subnet, env["IMAGIFY_TRUSTED_PROXIES"])
	_, port, _ := strings.Cut(env["IMAGIFY_ADDR"], ":")
	nginx := f.Services["nginx"].Environment
	assert.Equal(t, "node1:"+port, nginx["NODE_1"])
	assert.Equal(t, []string{nginx["LISTEN"] + ":" + nginx["LISTEN"]}, f.Services["nginx"].Ports)
	for _, name := range variable.FindAllStringSubmatch(nginxTemplate, -1) {
		if name[1] != "" {
			assert.Contains(t, nginx, name[1], "nginx's template")
		}
	}
}

// nginx itself takes the configuration that compose.yaml gives it.
func TestNginxConfiguration(t *testing.T) {
	t.Parallel()
	nginx := realserver.Find(t, "nginx")
	values := maps.Clone(read(t).Services["nginx"].Environment)
	for name, value := range values { // names that only the containers know
		values[name] = regexp.MustCompile(`^node\d:`).ReplaceAllString(value, "127.0.0.1:")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "nginx.conf")
	require.NoError(t, os.WriteFile(path, []byte(nginxConf(dir, values)), 0o600))
	out, err := exec.CommandContext(t.Context(), nginx, "-t", "-p", dir, "-e", "stderr", "-c", path).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
