package lambdatest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build builds the function's binary, cmd/imagify-lambda, for this machine into a folder
// and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "bootstrap")
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc,nomsgpack", "-ldflags", "-s -w",
		"-o", path, "github.com/imagify-api/imagify/cmd/imagify-lambda")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("the function does not build: %w\n%s", err, out)
	}
	return path, nil
}
