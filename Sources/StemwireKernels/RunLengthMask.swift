import CStemwireKernels
import MerlinProtocol

/// A binary mask over an image, as runs of consecutive pixels of a row.
///
/// Coordinates are in pixels, (y, x), the centre of the first pixel being (0, 0). A pixel belongs to a disk when its
/// centre is not farther from the disk's centre than the radius, to a ring when it belongs to the outer disk and not to
/// the inner one (LiberTEM's `masks.circular` and `masks.ring`).
public struct RunLengthMask: Sendable, Equatable {
    /// The image that the mask is for, (y, x).
    public let sigShape: SigShape
    /// The rows between the first and the last that have pixels of the mask; empty for an empty mask.
    public let rows: Range<Int>
    /// Pixels of the mask.
    public let pixelCount: Int
    /// In rising order, none crossing the end of a row.
    let runs: [swk_run]

    /// The pixels of the mask as ranges of indices into the image, rising, none crossing the end of a row.
    public var pixelRanges: [Range<Int>] { runs.map { Int($0.start)..<Int($0.start) + Int($0.count) } }

    /// The pixels for which `includes(y, x)` is true.
    public init(sigShape: SigShape, where includes: (_ y: Int, _ x: Int) -> Bool) {
        self.init(sigShape: sigShape) { y, append in
            var x = 0
            while x < sigShape.width {
                guard includes(y, x) else {
                    x += 1
                    continue
                }
                let first = x
                while x < sigShape.width, includes(y, x) { x += 1 }
                append(first..<x)
            }
        }
    }

    /// The elements of an array [y, x] that are not zero.
    ///
    /// - Precondition: `elements` has `sigShape.pixelCount` elements.
    public init(sigShape: SigShape, nonzero elements: some RandomAccessCollection<UInt8>) {
        precondition(elements.count == sigShape.pixelCount, "a mask of another size than its image")
        let start = elements.startIndex
        self.init(sigShape: sigShape) { y, x in
            elements[elements.index(start, offsetBy: y * sigShape.width + x)] != 0
        }
    }

    /// All pixels.
    public static func full(_ sigShape: SigShape) -> RunLengthMask {
        RunLengthMask(sigShape: sigShape) { _, append in append(0..<sigShape.width) }
    }

    /// (y − cy)² + (x − cx)² ≤ radius². An infinite radius takes all pixels.
    public static func disk(_ sigShape: SigShape, cy: Double, cx: Double, radius: Double) -> RunLengthMask {
        RunLengthMask(sigShape: sigShape) { y, append in
            append(chord(y: y, cy: cy, cx: cx, radius: radius, width: sigShape.width))
        }
    }

    /// innerRadius² < (y − cy)² + (x − cx)² ≤ outerRadius².
    public static func ring(
        _ sigShape: SigShape, cy: Double, cx: Double, innerRadius: Double, outerRadius: Double
    ) -> RunLengthMask {
        RunLengthMask(sigShape: sigShape) { y, append in
            let outer = chord(y: y, cy: cy, cx: cx, radius: outerRadius, width: sigShape.width)
            let inner = chord(y: y, cy: cy, cx: cx, radius: innerRadius, width: sigShape.width).clamped(to: outer)
            if inner.isEmpty {
                append(outer)
            } else {
                append(outer.lowerBound..<inner.lowerBound)
                append(inner.upperBound..<outer.upperBound)
            }
        }
    }

    /// The pixels of `y` and `x` that lie in the image; one pixel for ranges of one.
    public static func rectangle(_ sigShape: SigShape, y: Range<Int>, x: Range<Int>) -> RunLengthMask {
        let columns = x.clamped(to: 0..<sigShape.width)
        return RunLengthMask(sigShape: sigShape) { row, append in
            if y.contains(row) { append(columns) }
        }
    }

    /// - Parameter appendRow: gives the runs of a row, in rising order; empty ones are left out.
    private init(sigShape: SigShape, appendRow: (_ y: Int, _ append: (Range<Int>) -> Void) -> Void) {
        precondition(sigShape.pixelCount <= UInt32.max, "an image of \(sigShape) pixels is too large for a mask")
        var runs: [swk_run] = []
        for y in 0..<sigShape.height {
            appendRow(y) { range in
                guard !range.isEmpty else { return }
                runs.append(
                    swk_run(
                        start: UInt32(y * sigShape.width + range.lowerBound), count: UInt32(range.count),
                        y: UInt32(y), x: UInt32(range.lowerBound)))
            }
        }
        self.sigShape = sigShape
        self.runs = runs
        pixelCount = runs.reduce(0) { $0 + Int($1.count) }
        rows = runs.isEmpty ? 0..<0 : Int(runs[0].y)..<Int(runs[runs.count - 1].y) + 1
    }

    /// The columns of row `y` inside a disk.
    private static func chord(y: Int, cy: Double, cx: Double, radius: Double, width: Int) -> Range<Int> {
        guard radius >= 0 else { return 0..<0 }
        let squared = radius * radius
        let dy = Double(y) - cy
        func isInside(_ x: Int) -> Bool {
            let dx = Double(x) - cx
            return dy * dy + dx * dx <= squared
        }
        // The root gives the ends to within rounding; the rule itself decides.
        let half = max(0, squared - dy * dy).squareRoot()
        var first = Int(max(0, min(Double(width), (cx - half).rounded(.down) - 1)))
        var last = Int(max(-1, min(Double(width - 1), (cx + half).rounded(.up) + 1)))
        while first <= last, !isInside(first) { first += 1 }
        while last >= first, !isInside(last) { last -= 1 }
        return first..<last + 1
    }

    public static func == (a: RunLengthMask, b: RunLengthMask) -> Bool {
        a.sigShape == b.sigShape && a.runs.elementsEqual(b.runs) { $0.start == $1.start && $0.count == $1.count }
    }
}
