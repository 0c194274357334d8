package report

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// figure is a number with about three digits, in groups of three: 1 234 567.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case v == math.Trunc(v) && a < 1e15:
		return grouped(strconv.FormatInt(int64(v), 10))
	case a >= 1000:
		return grouped(strconv.FormatFloat(v, 'f', 0, 64))
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
}

func grouped(digits string) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + " " + digits[i:]
	}
	return sign + digits
}

var percentileMS = regexp.MustCompile(`^p[0-9.]+-ms$`)

// amount is a number of a benchmark's unit, as in "1.61 us/delivery".
func amount(v float64, unit string) string {
	if percentileMS.MatchString(unit) {
		return duration(v * 1e6)
	}
	time, per, _ := strings.Cut(unit, "/")
	if per != "" {
		per = "/" + per
	}
	switch time {
	case "ns":
		return duration(v) + per
	case "us":
		return duration(v*1e3) + per
	}
	return figure(v) + " " + unit
}

// duration is a time in nanoseconds, in the unit that suits it.
func duration(ns float64) string {
	for _, u := range []struct {
		name string
		ns   float64
	}{{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}} {
		if round3(ns) >= u.ns {
			return figure(round3(ns/u.ns)) + " " + u.name
		}
	}
	return figure(round3(ns)) + " ns"
}

// round3 keeps three digits.
func round3(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*scale) / scale
}

// size is a number of bytes.
func size(bytes float64) string {
	for _, u := range []struct {
		name  string
		bytes float64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if bytes >= u.bytes {
			return figure(round3(bytes/u.bytes)) + " " + u.name
		}
	}
	return figure(bytes) + " B"
}

// seconds is a length of time in the form of a flag.
func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond).String()
}

// measure is a goal's measure in the goal's unit: with as many digits as the verdict
// needs, which is made of the number itself.
func measure(v float64, unit string) string {
	if unit == "%" {
		return fmt.Sprintf("%.2f %%", v)
	}
	return fmt.Sprintf("%.3f %s", v, unit)
}

// limit is what a goal asks for.
func (g Goal) limit() string {
	if g.Unit == "%" {
		return fmt.Sprintf("%s %g %%", g.Compare, g.Limit)
	}
	return fmt.Sprintf("%s %.2f %s", g.Compare, g.Limit, g.Unit)
}
