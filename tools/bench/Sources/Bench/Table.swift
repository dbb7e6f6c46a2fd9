import Foundation

/// One figure and what it must reach.
struct Row {
    /// What a figure has to be.
    enum Target {
        case atLeast(Double), atMost(Double)
        /// For information.
        case none
    }

    let name: String
    let target: Target
    /// One value for each pair.
    let values: [Double]
    var unit = ""
    /// Absolute figures, of this machine and hour.
    let beside: String

    var median: Double { values.median }

    var isMet: Bool? {
        switch target {
        case .atLeast(let least): median >= least
        case .atMost(let most): median <= most
        case .none: nil
        }
    }
}

extension [Double] {
    var median: Double {
        guard !isEmpty else { return .nan }
        let sorted = sorted()
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }
}

/// All figures, one line each.
struct Table {
    let rows: [Row]

    func print() {
        var lines = [["", "median", "min … max", "target", "", "absolute"]]
        for row in rows {
            let digits = row.unit.isEmpty ? 3 : 1
            let text = { (value: Double) in String(format: "%.\(digits)f", value) }
            let target =
                switch row.target {
                case .atLeast(let least): "≥ \(String(format: "%g", least))"
                case .atMost(let most): "≤ \(String(format: "%g", most))"
                case .none: ""
                }
            lines.append([
                row.name, text(row.median) + row.unit,
                row.values.count > 1 ? "\(text(row.values.min() ?? .nan)) … \(text(row.values.max() ?? .nan))" : "",
                target, row.isMet.map { $0 ? "met" : "NOT MET" } ?? "", row.beside,
            ])
        }
        let widths = lines[0].indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        for line in lines {
            let cells = zip(line, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }
            Console.line(cells.joined(separator: "  "))
        }
    }
}
