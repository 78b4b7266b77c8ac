//go:build noheic

package imagefile

func newHEIC(Limits) (wholeScanner, error) {
	return nil, unsupported("the file is HEIC, which this build of imagify leaves out: save it as JPEG")
}
