package hevc_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"

	"github.com/imagify-api/imagify/adapters/nativeresizer/hevc"
)

// A picture is handed out in bands of rows, from the top down, as soon as they are final.
func ExampleDecoder() {
	stream, err := os.ReadFile("testdata/main.hevc")
	if err != nil {
		log.Fatal(err)
	}
	var nals [][]byte // a byte stream (ITU-T H.265, annex B) has start codes between its NAL units
	for _, nal := range bytes.Split(stream, []byte{0, 0, 1}) {
		if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 {
			nals = append(nals, nal)
		}
	}
	var d hevc.Decoder
	parameters, rows := new(hevc.ParameterSets), 0
	err = d.Decode(context.Background(), parameters, hevc.Info{}, nals, hevc.Options{}, func(b hevc.Band) error {
		rows += b.Planes[0].Rows
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(rows)
	// Output:
	// 72
}
