package serverless_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// get is the value under the keys of a mapping, or nil.
func get(n *yaml.Node, path ...string) *yaml.Node {
	for _, key := range path {
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		var found *yaml.Node
		for i := 0; i < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				found = n.Content[i+1]
			}
		}
		n = found
	}
	return n
}

func keys(n *yaml.Node) (list []string) {
	for i := 0; n != nil && i < len(n.Content); i += 2 {
		list = append(list, n.Content[i].Value)
	}
	return list
}

func walk(n *yaml.Node, visit func(n *yaml.Node)) {
	if n == nil {
		return
	}
	visit(n)
	for _, c := range n.Content {
		walk(c, visit)
	}
}

// texts are a scalar's value, or a sequence's.
func texts(n *yaml.Node) (list []string) {
	walk(n, func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			list = append(list, n.Value)
		}
	})
	return list
}

func template(t *testing.T) *yaml.Node {
	t.Helper()
	b, err := os.ReadFile("template.yaml")
	require.NoError(t, err)
	var doc yaml.Node
	require.NoError(t, yaml.Unmarshal(b, &doc))
	require.Len(t, doc.Content, 1)
	return doc.Content[0]
}

// Every name that the template refers to is one that it has.
func TestReferences(t *testing.T) {
	t.Parallel()
	root := template(t)
	known := map[string]bool{"ApiUrl": true} // which SAM makes of FunctionUrlConfig
	for _, section := range []string{"Parameters", "Resources"} {
		for _, name := range keys(get(root, section)) {
			require.False(t, known[name] && name != "ApiUrl", "twice: %s", name)
			known[name] = true
		}
	}
	inText := regexp.MustCompile(`\$\{([^}]+)\}`)
	check := func(name string) {
		name, _, _ = strings.Cut(name, ".")
		assert.True(t, known[name] || strings.HasPrefix(name, "AWS::"), "the template refers to %s, which it does not have", name)
	}
	conditions := keys(get(root, "Conditions"))
	walk(root, func(n *yaml.Node) {
		if n.Tag == "!If" {
			assert.Contains(t, conditions, n.Content[0].Value)
		}
		switch n.Tag {
		case "!Ref", "!GetAtt":
			check(n.Value)
		case "!Sub":
			for _, m := range inText.FindAllStringSubmatch(n.Value, -1) {
				check(m[1])
			}
		}
		if c := get(n, "Condition"); c != nil && c.Kind == yaml.ScalarNode {
			assert.Contains(t, conditions, c.Value)
		}
	})
}

// Every role may do what it names, on what it names, and nothing else.
func TestLeastPrivilege(t *testing.T) {
	t.Parallel()
	root := template(t)
	var statements int
	walk(root, func(n *yaml.Node) {
		if e := get(n, "Effect"); e == nil || e.Value != "Allow" || get(n, "Resource") == nil {
			return
		}
		statements++
		for _, a := range texts(get(n, "Action")) {
			assert.NotContains(t, a, "*", "line %d", n.Line)
		}
		for _, r := range texts(get(n, "Resource")) {
			if r == "*" { // AWS gives these no narrower one
				for _, a := range texts(get(n, "Action")) {
					assert.True(t, strings.HasPrefix(a, "ec2:"), "%s on everything, line %d", a, n.Line)
				}
			}
		}
	})
	assert.Equal(t, 10, statements)
	for _, name := range keys(get(root, "Resources")) {
		assert.Nil(t, get(root, "Resources", name, "Properties", "ManagedPolicyArns"), name)
		assert.Nil(t, get(root, "Resources", name, "Properties", "AccessControl"), "no ACL: %s", name)
	}
	var puts []string
	for _, p := range get(root, "Resources", "ResizeRole", "Properties", "Policies").Content {
		for _, s := range get(p, "PolicyDocument", "Statement").Content {
			for _, a := range texts(get(s, "Action")) {
				if a != "s3:GetObject" && a != "s3:ListBucket" && !strings.HasPrefix(a, "logs:") {
					puts = append(puts, a+" "+strings.Join(texts(get(s, "Resource")), " "))
				}
			}
		}
	}
	assert.Equal(t, []string{
		"s3:PutObject ${Bucket.Arn}/images/*/thumbnails/*", "s3:AbortMultipartUpload ${Bucket.Arn}/images/*/thumbnails/*",
	}, puts, "the function that makes thumbnails writes nothing else")
}

// Each role has the actions that the comments of the packages in it name, and no other.
func TestActionsAreThoseOfThePackages(t *testing.T) {
	t.Parallel()
	root := template(t)
	action := regexp.MustCompile(`\b(s3|lambda|s3-object-lambda):[A-Z][A-Za-z]+`)
	named := func(file string) []string {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "adapters", file), nil, parser.ParseComments|parser.PackageClauseOnly)
		require.NoError(t, err)
		list := action.FindAllString(f.Doc.Text(), -1)
		require.NotEmpty(t, list, file)
		return list
	}
	granted := func(policies ...*yaml.Node) (list []string) {
		for _, p := range policies {
			require.NotNil(t, p)
			walk(p, func(n *yaml.Node) {
				for _, a := range texts(get(n, "Action")) {
					if action.MatchString(a) {
						list = append(list, a)
					}
				}
			})
		}
		return list
	}
	set := func(list []string) []string {
		list = slices.Clone(list)
		slices.Sort(list)
		return slices.Compact(list)
	}
	const invoke, answer = "lambda:InvokeFunction", "s3-object-lambda:WriteGetObjectResponse"
	function := named("lambdaresizer/lambdaresizer.go") // the caller's and the function's
	assert.Equal(t, set(function), set(append(granted(get(root, "Resources", "ResizeRole", "Properties", "Policies")), invoke)))
	assert.Equal(t, set(append(named("s3blob/s3blob.go"), invoke)), set(granted(get(root, "Resources", "ApiRole", "Properties", "Policies"))))
	objectLambda := get(root, "Resources", "ObjectLambdaPolicy", "Properties", "PolicyDocument")
	assert.Equal(t, []string{answer}, granted(objectLambda))
	assert.Subset(t, append(function, answer), named("lambdaresizer/objectlambda/objectlambda.go"))
}

func TestBucketIsPrivate(t *testing.T) {
	t.Parallel()
	root := template(t)
	for _, name := range []string{"Bucket", "ObjectLambdaAccessPoint"} {
		block := get(root, "Resources", name, "Properties", "PublicAccessBlockConfiguration")
		require.NotNil(t, block, name)
		require.Len(t, keys(block), 4, name)
		for _, k := range keys(block) {
			assert.Equal(t, "true", get(block, k).Value, "%s of %s", k, name)
		}
	}
	assert.Equal(t, "Retain", get(root, "Resources", "Bucket", "DeletionPolicy").Value)
}

func TestFunctions(t *testing.T) {
	t.Parallel()
	root := template(t)
	var n int
	for _, name := range keys(get(root, "Resources")) {
		r := get(root, "Resources", name)
		if get(r, "Type").Value != "AWS::Serverless::Function" {
			continue
		}
		n++
		p := get(r, "Properties")
		assert.Equal(t, "provided.al2023", get(p, "Runtime").Value, name)
		assert.Equal(t, "bootstrap", get(p, "Handler").Value, name)
		assert.NotNil(t, get(p, "Role"), "%s: SAM's own role may more", name)
		timeout, err := strconv.Atoi(get(p, "Timeout").Value)
		require.NoError(t, err)
		if name == "Resize" {
			assert.Less(t, timeout, 30, "a caller waits 30 seconds")
		}
		for _, v := range keys(get(p, "Environment", "Variables")) {
			assert.True(t, strings.HasPrefix(v, "IMAGIFY_"), v)
		}
	}
	assert.Equal(t, 2, n)
	assert.Equal(t, "RESPONSE_STREAM", get(root, "Resources", "Api", "Properties", "FunctionUrlConfig", "InvokeMode").Value)
}
