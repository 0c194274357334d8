package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// FileName is a name for r's file that says what it is, and that sorts by time:
// fanout-chatstream-20060102T150405.json.
func (r *Run) FileName() string {
	return fmt.Sprintf("%s-%s-%s.json", r.Scenario, r.Server, r.Started.UTC().Format("20060102T150405"))
}

// Write validates r and writes it to path, whole or not at all. The folder is made if
// need be.
func Write(path string, r *Run) error {
	if err := r.Validate(); err != nil {
		return fmt.Errorf("%s is not written: %w", path, err)
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if err := writeFile(path, append(data, '\n')); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// writeFile has data appear at path at once. It need not survive a power cut: a
// measurement can be repeated.
func writeFile(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Read reads and validates a run. Errors name the file.
func Read(path string) (*Run, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read a result: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	r := new(Run)
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("%s is not a run of a scenario: %w", path, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s is not a run of a scenario: something follows it", path)
	}
	if err := r.Validate(); err != nil {
		return nil, fmt.Errorf("%s is not a valid run: %w", path, err)
	}
	return r, nil
}

// Set is a set of results: what is in a folder, or what was given one by one.
type Set struct {
	Runs       []File[*Run]
	Benchmarks []File[*Benchmarks]
}

// File is a result and the file it is from.
type File[T any] struct {
	Path   string
	Result T
}

// ReadDir reads all results in dir: *.json are runs, *.txt is what `go test
// -bench` printed. It does not look into folders. A file that it cannot make sense of
// is an error: a result must not be lost in silence.
func ReadDir(dir string) (*Set, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot read the results: %w", err)
	}
	var paths []string
	for _, e := range entries {
		switch ext := filepath.Ext(e.Name()); {
		case e.IsDir() || strings.HasPrefix(e.Name(), "."):
		case ext == ".json" || ext == ".txt":
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return ReadFiles(paths...)
}

// ReadFiles reads these results, by the ends of their names, as ReadDir does.
func ReadFiles(paths ...string) (*Set, error) {
	paths = slices.Sorted(slices.Values(paths))
	set := new(Set)
	for _, path := range paths {
		switch filepath.Ext(path) {
		case ".json":
			r, err := Read(path)
			if err != nil {
				return nil, err
			}
			set.Runs = append(set.Runs, File[*Run]{path, r})
		case ".txt":
			b, err := ReadBenchmarks(path)
			if err != nil {
				return nil, err
			}
			set.Benchmarks = append(set.Benchmarks, File[*Benchmarks]{path, b})
		default:
			return nil, fmt.Errorf("%s: results are .json (a run of a scenario) or .txt (what go test -bench printed)", path)
		}
	}
	return set, nil
}
