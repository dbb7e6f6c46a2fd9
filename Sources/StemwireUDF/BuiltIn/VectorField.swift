import Glibc

/// A vector (y, x) at each position of a scan of rows and columns; NaN where there is none.
struct VectorField {
    let rows: Int
    let columns: Int
    var y: [Double]
    var x: [Double]

    init(rows: Int, columns: Int) {
        self.rows = rows
        self.columns = columns
        y = Array(repeating: .nan, count: rows * columns)
        x = y
    }

    /// Flips y where asked for, then turns the vectors clockwise.
    mutating func turn(degrees: Double, flipY: Bool) {
        guard degrees != 0 || flipY else { return }
        let angle = degrees * .pi / 180
        let (cosine, sine) = (cos(angle), sin(angle))
        for position in y.indices {
            let before = (y: flipY ? -y[position] : y[position], x: x[position])
            y[position] = cosine * before.y + sine * before.x
            x[position] = cosine * before.x - sine * before.y
        }
    }

    mutating func subtract(_ background: CentreOfMassUDF.Background, at positions: PositionSet) {
        guard background != CentreOfMassUDF.Background() else { return }
        for range in positions.ranges {
            for position in range {
                let vector = background.vector(row: position / columns, column: position % columns)
                y[position] -= vector.y
                x[position] -= vector.x
            }
        }
    }

    func forEach(_ positions: PositionSet, _ body: (_ row: Int, _ column: Int, _ y: Double, _ x: Double) -> Void) {
        for range in positions.ranges {
            for position in range { body(position / columns, position % columns, y[position], x[position]) }
        }
    }

    func magnitude(at position: Int) -> Double {
        (y[position] * y[position] + x[position] * x[position]).squareRoot()
    }

    /// Divergence and curl per scan step: central differences, one-sided at the edges.
    func slopes(at position: Int) -> (divergence: Double, curl: Double) {
        let (row, column) = (position / columns, position % columns)
        let alongRows = Self.neighbours(row, rows)
        let alongColumns = Self.neighbours(column, columns)
        func slope(_ values: [Double], _ pair: (Int, Int), _ index: (Int) -> Int) -> Double {
            pair.0 == pair.1 ? .nan : (values[index(pair.1)] - values[index(pair.0)]) / Double(pair.1 - pair.0)
        }
        func inRows(_ values: [Double]) -> Double { slope(values, alongRows) { $0 * columns + column } }
        func inColumns(_ values: [Double]) -> Double { slope(values, alongColumns) { row * columns + $0 } }
        return (inRows(y) + inColumns(x), inColumns(y) - inRows(x))
    }

    private static func neighbours(_ index: Int, _ count: Int) -> (Int, Int) {
        (max(index - 1, 0), min(index + 1, count - 1))
    }
}
