package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// panels are what the picture has, row by row.
var panels = [][]string{{memory, goroutines}, {files, database}, {parts, waiting}}

// picture draws the samples over time, and writes them beside the picture as CSV.
func picture(samples []sample, file string) error {
	if err := table(samples, strings.TrimSuffix(file, ".png")+".csv"); err != nil {
		return err
	}
	grid := make([][]*plot.Plot, len(panels))
	for i, row := range panels {
		for _, k := range row {
			p, err := panel(samples, k)
			if err != nil {
				return fmt.Errorf("plot %s: %w", k, err)
			}
			grid[i] = append(grid[i], p)
		}
	}
	const width, height = 11 * vg.Inch, 11 * vg.Inch
	canvas := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(96))
	dc := draw.New(canvas)
	tiles := draw.Tiles{Rows: len(grid), Cols: len(grid[0]), PadX: 12, PadY: 12, PadTop: 6, PadBottom: 6, PadLeft: 6, PadRight: 6}
	cells := plot.Align(grid, tiles, dc)
	for i, row := range grid {
		for j, p := range row {
			p.Draw(cells[i][j])
		}
	}
	out, err := os.Create(file) //nolint:gosec // where the user wants it
	if err != nil {
		return err
	}
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(out); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return out.Close()
}

// panel has a line for every series of the kind.
func panel(samples []sample, of string) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = of
	p.X.Label.Text = "minutes"
	p.Y.Min = 0
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	color := 0
	for _, name := range series(samples) {
		if kind(name) != of {
			continue
		}
		var xys plotter.XYs
		for _, s := range samples {
			if v, ok := s.values[name]; ok {
				xys = append(xys, plotter.XY{X: s.at.Minutes(), Y: v})
			}
		}
		line, err := plotter.NewLine(xys)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width = plotutil.Color(color), vg.Points(1)
		color++
		p.Add(line)
		if name != of {
			p.Legend.Add(strings.TrimSuffix(name, " "+of), line)
		}
	}
	p.Y.Max *= 1.25 // room for the legend
	return p, nil
}

func table(samples []sample, file string) error {
	out, err := os.Create(file) //nolint:gosec // beside the picture
	if err != nil {
		return err
	}
	w := csv.NewWriter(out)
	names := series(samples)
	_ = w.Write(append([]string{"seconds"}, names...))
	for _, s := range samples {
		row := []string{strconv.Itoa(int(s.at.Seconds()))}
		for _, n := range names {
			cell := ""
			if v, ok := s.values[n]; ok {
				cell = strconv.FormatFloat(v, 'f', 1, 64)
			}
			row = append(row, cell)
		}
		_ = w.Write(row)
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return out.Close()
}
