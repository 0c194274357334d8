package report

import (
	"iter"
	"maps"
	"strings"
)

// table is a Markdown table; the first row is its head. A head alone is nothing.
func table(rows [][]string) string {
	if len(rows) < 2 {
		return ""
	}
	var b strings.Builder
	for i, row := range rows {
		b.WriteString("|")
		for _, cell := range row {
			b.WriteString(" " + strings.ReplaceAll(strings.Join(strings.Fields(cell), " "), "|", `\|`) + " |")
		}
		b.WriteString("\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return b.String()
}

func keys(m map[string]bool) iter.Seq[string] { return maps.Keys(m) }

// commit is enough of a commit's name to find it.
func commit(s string) string {
	name, changes, changed := strings.Cut(s, "+")
	if len(name) > 12 {
		name = name[:12]
	}
	if changed {
		name += ", with " + changes
	}
	return unknown(name)
}

func unknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func code(s string) string {
	if s == "" {
		return "unknown"
	}
	return "`" + s + "`"
}
