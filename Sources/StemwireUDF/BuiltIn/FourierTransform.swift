import Glibc

/// Inverse discrete Fourier transforms of any size, in `float64`: f(x) = 1/n Σ_k F(k) e^(2πi k x / n).
///
/// Splits the size into its prime factors (Cooley and Tukey 1965), so a transform takes n · Σ factors steps. A value, to
/// be used by any number of threads.
struct FourierTransform: Sendable {
    let count: Int
    private let factors: [Int]
    /// e^(2πi k / n).
    private let roots: [Complex128]

    /// - Precondition: `count` is positive.
    init(count: Int) {
        precondition(count > 0)
        self.count = count
        var rest = count
        var factors: [Int] = []
        var factor = 2
        while factor * factor <= rest {
            if rest % factor == 0 {
                factors.append(factor)
                rest /= factor
            } else {
                factor += 1
            }
        }
        if rest > 1 { factors.append(rest) }
        self.factors = factors
        roots = (0..<count).map { index in
            let angle = 2 * Double.pi * Double(index) / Double(count)
            return Complex128(cos(angle), sin(angle))
        }
    }

    /// The inverse transform of a matrix [row, column], in place.
    static func invert(_ values: inout [Complex128], rows: Int, columns: Int) {
        precondition(values.count == rows * columns)
        let (alongRows, alongColumns) = (FourierTransform(count: columns), FourierTransform(count: rows))
        values.withUnsafeMutableBufferPointer { values in
            guard let base = values.baseAddress else { return }
            for row in 0..<rows { alongRows.invert(base + row * columns, stride: 1) }
            for column in 0..<columns { alongColumns.invert(base + column, stride: columns) }
        }
    }

    /// The inverse transform of values that are `stride` apart, in place.
    private func invert(_ values: UnsafeMutablePointer<Complex128>, stride: Int) {
        withUnsafeTemporaryAllocation(of: Complex128.self, capacity: count) { result in
            withUnsafeTemporaryAllocation(of: Complex128.self, capacity: factors.last ?? 1) { terms in
                guard let target = result.baseAddress else { return }
                sum(values, stride, target, count, 0, terms)
                for index in 0..<count {
                    let value = target[index]
                    values[index * stride] = Complex128(value.real / Double(count), value.imaginary / Double(count))
                }
            }
        }
    }

    /// target(x) = Σ_k source(k) e^(2πi k x / size), by the sums over every `factor`-th value.
    private func sum(
        _ source: UnsafePointer<Complex128>, _ stride: Int, _ target: UnsafeMutablePointer<Complex128>, _ size: Int,
        _ level: Int, _ terms: UnsafeMutableBufferPointer<Complex128>
    ) {
        guard size > 1 else {
            target[0] = source[0]
            return
        }
        let factor = factors[level]
        let part = size / factor
        for offset in 0..<factor {
            sum(source + offset * stride, stride * factor, target + offset * part, part, level + 1, terms)
        }
        let rootStep = count / size
        for index in 0..<part {
            for offset in 0..<factor {
                terms[offset] = target[offset * part + index].times(roots[offset * index * rootStep])
            }
            for place in 0..<factor {
                var value = terms[0]
                for offset in 1..<factor {
                    let turned = terms[offset].times(roots[offset * place % factor * part * rootStep])
                    value.real += turned.real
                    value.imaginary += turned.imaginary
                }
                target[place * part + index] = value
            }
        }
    }
}

extension Complex128 {
    @inline(__always)
    func times(_ other: Complex128) -> Complex128 {
        Complex128(
            real * other.real - imaginary * other.imaginary, real * other.imaginary + imaginary * other.real)
    }
}
