// Go fasthttp with the forest compiled by tl2cgen: PORT WORKERS.
package main

/*
#cgo LDFLAGS: -l:librf.a -lm
#include <stdint.h>
void predict(void *data, int pred_margin, double *result);
// One crossing of the language border for all rows of a request.
static void predict_rows(const double *x, int rows, double *out) {
    for (int i = 0; i < rows; i++) {
        double *r = out + 3 * i;
        r[0] = r[1] = r[2] = 0;
        predict((void *)(x + 4 * i), 0, r);
    }
}
*/
import "C"

import (
	"os"
	"runtime"
	"strconv"
	"sync"
	"unsafe"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/reuseport"
)

const (
	features = 4
	classes  = 3
)

type scratch struct {
	in, out []float64
	reply   []byte
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

func numeric(c byte) bool {
	return c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E' || (c >= '0' && c <= '9')
}

// Every number after the first colon, in order: a minimal reader for {"data":[[...],...]}.
func numbers(b []byte, v []float64) ([]float64, bool) {
	i := 0
	for i < len(b) && b[i] != ':' {
		i++
	}
	for i++; i < len(b); {
		if c := b[i]; c != '-' && (c < '0' || c > '9') {
			i++
			continue
		}
		start := i
		for i < len(b) && numeric(b[i]) {
			i++
		}
		// scikit-learn casts to float32; thresholds are doubles
		f, err := strconv.ParseFloat(unsafe.String(&b[start], i-start), 32)
		if err != nil {
			return v, false
		}
		v = append(v, f)
	}
	return v, len(v) > 0 && len(v)%features == 0
}

func (s *scratch) answer(body []byte) bool {
	var ok bool
	if s.in, ok = numbers(body, s.in[:0]); !ok {
		return false
	}
	rows := len(s.in) / features
	if cap(s.out) < classes*rows {
		s.out = make([]float64, classes*rows)
	}
	s.out = s.out[:classes*rows]
	C.predict_rows((*C.double)(&s.in[0]), C.int(rows), (*C.double)(&s.out[0]))
	o := append(s.reply[:0], `{"predictions":[`...)
	for i := 0; i < rows; i++ {
		if i > 0 {
			o = append(o, ',')
		}
		p, best := s.out[classes*i:], 0
		for k := 1; k < classes; k++ {
			if p[k] > p[best] {
				best = k
			}
		}
		o = append(o, byte('0'+best))
	}
	o = append(o, `],"probabilities":[`...)
	for i := 0; i < rows; i++ {
		if i > 0 {
			o = append(o, ',')
		}
		for k := 0; k < classes; k++ {
			o = append(o, "[,,"[k])
			o = strconv.AppendFloat(o, s.out[classes*i+k], 'g', -1, 64)
		}
		o = append(o, ']')
	}
	s.reply = append(o, `]}`...)
	return true
}

func handle(c *fasthttp.RequestCtx) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	c.SetContentType("application/json")
	if !s.answer(c.PostBody()) {
		c.SetStatusCode(fasthttp.StatusBadRequest)
		return
	}
	c.SetBody(s.reply)
}

func main() {
	workers, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	runtime.GOMAXPROCS(workers)
	l, err := reuseport.Listen("tcp4", "127.0.0.1:"+os.Args[1])
	if err != nil {
		panic(err)
	}
	server := &fasthttp.Server{NoDefaultServerHeader: true, NoDefaultDate: true, Handler: handle}
	panic(server.Serve(l))
}
