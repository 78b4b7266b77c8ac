package s3blob

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/imagify-api/imagify/ports"
)

func TestParse(t *testing.T) {
	t.Parallel()
	a, err := parse("s3://pictures")
	require.NoError(t, err)
	assert.Equal(t, address{bucket: "pictures"}, a)
	a, err = parse("s3://my.bucket/a/Prefix/?region=eu-central-1&endpoint=http%3A%2F%2F127.0.0.1%3A9000&path_style=true&sse=aws:kms&kms_key_id=alias/x" +
		"&storage_class=STANDARD_IA&part_size=8388608&concurrency=4&timeout=20s&file_keys=true")
	require.NoError(t, err)
	assert.Equal(t, address{
		bucket: "my.bucket", region: "eu-central-1", endpoint: "http://127.0.0.1:9000", pathStyle: true,
		options: Options{
			Prefix: "/a/Prefix/", ServerSideEncryption: "aws:kms", KMSKeyID: "alias/x", StorageClass: "STANDARD_IA",
			PartSize: 8 << 20, Concurrency: 4, Timeout: 20 * time.Second, FileKeys: true,
		},
	}, a)
	a, err = parse("s3://pictures?endpoint=https://s3.example.org") // as CONTRACT writes it, not escaped
	require.NoError(t, err)
	assert.Equal(t, "https://s3.example.org", a.endpoint)
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"", "pictures", "s3:pictures", "s3://", "s3:///a", "http://pictures", "s3://pictures#a", "s3://key:hunter2@pictures", "s3://pictures?x=1",
		"s3://pictures?region=", "s3://pictures?region=a&region=b", "s3://pictures?path_style=maybe", "s3://pictures?endpoint=localhost:9000",
		"s3://pictures?endpoint=http://u:hunter2@h", "s3://pictures?part_size=1000", "s3://pictures?part_size=x", "s3://pictures?concurrency=-1",
		"s3://pictures?concurrency=1000", "s3://pictures?timeout=5", "s3://pictures?timeout=-5s", "s3://pictures?file_keys=x", "s3://pictures?kms_key_id=x",
		"s3://pictures/a//b", "s3://pictures/" + strings.Repeat("a", maxPrefix), "s3://pictures?%zz=1",
	} {
		if !strings.Contains(url, "region") {
			url = strings.Replace(url, "?", "?region=us-east-1&", 1)
		}
		_, err := Open(t.Context(), url)
		require.Error(t, err, url)
		assert.NotContains(t, err.Error(), "s3blob: s3blob:", url)
	}
	for _, bucket := range []string{"", "a/b"} {
		_, err := New(s3.New(s3.Options{}), bucket, Options{})
		require.Error(t, err)
	}
	_, err := New(nil, "pictures", Options{})
	require.Error(t, err)
}

// TestNames: names and keys are one to one, in the same order, and with FileKeys no
// name is the folder of another, or too long for a file.
func TestNames(t *testing.T) {
	t.Parallel()
	alphabet := []rune("a-._/b0")
	keys := rapid.OneOf(
		rapid.StringOfN(rapid.SampledFrom(alphabet), 1, 8, -1),
		rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "/", "b", strings.Repeat("a", 99), strings.Repeat("a", 100), strings.Repeat("b", 49) + "/"}), 1, 8), func(s []string) string { return strings.Join(s, "") }),
	).Filter(ports.ValidKey)
	rapid.Check(t, func(t *rapid.T) {
		s := &Store{prefix: "p/", fileKeys: rapid.Bool().Draw(t, "fileKeys")}
		list := rapid.SliceOfNDistinct(keys, 2, 10, rapid.ID).Draw(t, "keys")
		slices.Sort(list)
		var names []string
		for _, key := range list {
			name := *s.object(key)
			if back, ok := s.key(name); !ok || back != key {
				t.Fatalf("%q is stored as %q, which is read as %q, %v", key, name, back, ok)
			}
			names = append(names, name)
			if !s.fileKeys {
				continue
			}
			if len(name) > 2+ports.MaxKey+3*(ports.MaxKey/breakAt)+1 {
				t.Fatalf("%q is too long for S3", name)
			}
			for _, element := range strings.Split(name, "/") {
				if element == "" || element == "." || element == ".." || len(element) > 255 {
					t.Fatalf("%q has the element %q", name, element)
				}
			}
		}
		if !slices.IsSorted(names) {
			t.Fatalf("not in order: %q", names)
		}
		for i, a := range list {
			prefix := a[:rapid.IntRange(0, len(a)).Draw(t, "prefix")]
			for j, b := range list {
				if strings.HasPrefix(b, prefix) != strings.HasPrefix(names[j], s.prefix+s.begin(prefix)) {
					t.Fatalf("prefix %q of %q, name %q", prefix, b, names[j])
				}
				if s.fileKeys && i != j && strings.HasPrefix(names[j], names[i]+"/") {
					t.Fatalf("%q is a folder of %q", names[i], names[j])
				}
			}
		}
	})
}

func TestOthersNames(t *testing.T) {
	t.Parallel()
	for _, fileKeys := range []bool{false, true} {
		s := &Store{prefix: "p/", fileKeys: fileKeys}
		for _, name := range []string{"", "p", "p/", "p/A", "p/a b", "q/a", "pa", "p//a", "p/../a!", "p/a!/b", "p/!", "p/a(/(b!", "p/" + strings.Repeat("a", 99) + "(/(b!"} {
			_, ok := s.key(name)
			require.False(t, ok, name)
		}
	}
}
