extension CentreOfMassUDF {
    /// The background that is subtracted from the field of shifts.
    ///
    /// On a command line and in JSON: -1, 0 or 1; or the six numbers of a background, in rows of two or one after the
    /// other.
    public enum Regression: Sendable, Hashable {
        case none
        /// The mean of the field.
        case mean
        /// The plane that fits the field best (least squares).
        case linear
        /// A background that is known, say from a reference scan.
        case background(Background)
    }

    /// A field that is a constant and a slope: at scan row i and column j it is constant + i · perRow + j · perColumn.
    public struct Background: Sendable, Hashable {
        /// In pixels of the detector.
        public var constant: Vector
        /// In pixels of the detector per scan row.
        public var perRow: Vector
        /// In pixels of the detector per scan column.
        public var perColumn: Vector

        public init(constant: Vector = Vector(), perRow: Vector = Vector(), perColumn: Vector = Vector()) {
            self.constant = constant
            self.perRow = perRow
            self.perColumn = perColumn
        }

        /// The six numbers, row by row, y before x.
        public var values: [Double] {
            [constant.y, constant.x, perRow.y, perRow.x, perColumn.y, perColumn.x]
        }

        func vector(row: Int, column: Int) -> Vector {
            Vector(
                y: constant.y + Double(row) * perRow.y + Double(column) * perColumn.y,
                x: constant.x + Double(row) * perRow.x + Double(column) * perColumn.x)
        }
    }

    /// A vector on the detector, in pixels.
    public struct Vector: Sendable, Hashable {
        public var y: Double
        public var x: Double

        public init(y: Double = 0, x: Double = 0) {
            self.y = y
            self.x = x
        }
    }
}

extension CentreOfMassUDF.Regression: Codable {
    public init(from decoder: any Decoder) throws {
        func fault() -> DecodingError {
            DecodingError.dataCorrupted(
                .init(
                    codingPath: decoder.codingPath,
                    debugDescription: "expected -1 (none), 0 (mean), 1 (plane) or the 3 × 2 numbers of a background"))
        }
        guard var list = try? decoder.unkeyedContainer() else { throw fault() }
        if list.count == 1, let choice = try? list.decode(Int.self) {
            switch choice {
            case -1: self = .none
            case 0: self = .mean
            case 1: self = .linear
            default: throw fault()
            }
            return
        }
        var values: [Double] = []
        if list.count == 3 {
            while !list.isAtEnd {
                guard let row = try? list.decode([Double].self), row.count == 2 else { throw fault() }
                values += row
            }
        } else {
            while !list.isAtEnd {
                guard let value = try? list.decode(Double.self) else { throw fault() }
                values.append(value)
            }
        }
        guard values.count == 6, values.allSatisfy(\.isFinite) else { throw fault() }
        self = .background(
            CentreOfMassUDF.Background(
                constant: .init(y: values[0], x: values[1]), perRow: .init(y: values[2], x: values[3]),
                perColumn: .init(y: values[4], x: values[5])))
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .none: try encodeChoice(-1, encoder)
        case .mean: try encodeChoice(0, encoder)
        case .linear: try encodeChoice(1, encoder)
        case .background(let background):
            var list = encoder.unkeyedContainer()
            let values = background.values
            for row in 0..<3 { try list.encode(Array(values[2 * row..<2 * row + 2])) }
        }
    }

    private func encodeChoice(_ choice: Int, _ encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(choice)
    }
}

extension CentreOfMassUDF.Regression {
    /// The background of a field, from the processed positions alone, so that partial results are flat as well.
    ///
    /// Where the positions do not fix a plane, such as those of a single scan row, it is not inclined in the direction
    /// that is open.
    func background(of field: VectorField, at processed: PositionSet) -> CentreOfMassUDF.Background {
        switch self {
        case .background(let background): return background
        case .none: return CentreOfMassUDF.Background()
        case .mean, .linear: break
        }
        guard !processed.isEmpty else { return CentreOfMassUDF.Background() }
        let count = Double(processed.count)
        var mean = (row: 0.0, column: 0.0, y: 0.0, x: 0.0)
        field.forEach(processed) { row, column, y, x in
            mean.row += Double(row)
            mean.column += Double(column)
            mean.y += y
            mean.x += x
        }
        mean = (mean.row / count, mean.column / count, mean.y / count, mean.x / count)
        guard self == .linear else { return CentreOfMassUDF.Background(constant: .init(y: mean.y, x: mean.x)) }
        // The normal equations of coordinates that are counted from their mean.
        var squares = (rows: 0.0, mixed: 0.0, columns: 0.0)
        var products = (rowY: 0.0, rowX: 0.0, columnY: 0.0, columnX: 0.0)
        field.forEach(processed) { row, column, y, x in
            let (i, j) = (Double(row) - mean.row, Double(column) - mean.column)
            squares = (squares.rows + i * i, squares.mixed + i * j, squares.columns + j * j)
            products.rowY += i * (y - mean.y)
            products.rowX += i * (x - mean.x)
            products.columnY += j * (y - mean.y)
            products.columnX += j * (x - mean.x)
        }
        let inverse = Self.pseudoInverse(squares)
        let perRow = CentreOfMassUDF.Vector(
            y: inverse.rows * products.rowY + inverse.mixed * products.columnY,
            x: inverse.rows * products.rowX + inverse.mixed * products.columnX)
        let perColumn = CentreOfMassUDF.Vector(
            y: inverse.mixed * products.rowY + inverse.columns * products.columnY,
            x: inverse.mixed * products.rowX + inverse.columns * products.columnX)
        return CentreOfMassUDF.Background(
            constant: .init(
                y: mean.y - mean.row * perRow.y - mean.column * perColumn.y,
                x: mean.x - mean.row * perRow.x - mean.column * perColumn.x),
            perRow: perRow, perColumn: perColumn)
    }

    /// The inverse of a symmetric matrix that is not negative; of a singular one Moore and Penrose's.
    private static func pseudoInverse(
        _ m: (rows: Double, mixed: Double, columns: Double)
    ) -> (rows: Double, mixed: Double, columns: Double) {
        let determinant = m.rows * m.columns - m.mixed * m.mixed
        let trace = m.rows + m.columns
        if determinant > 1e-12 * trace * trace {
            return (m.columns / determinant, -m.mixed / determinant, m.rows / determinant)
        }
        // With one eigenvalue, t: the matrix is t · v vᵀ, and its inverse v vᵀ / t.
        guard trace > 0 else { return (0, 0, 0) }
        let squared = trace * trace
        return (m.rows / squared, m.mixed / squared, m.columns / squared)
    }
}
