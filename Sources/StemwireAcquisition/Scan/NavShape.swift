/// The grid of probe positions of a scan, slow axis first: (y, x), or n-dimensional.
public struct NavShape: Sendable, Hashable, CustomStringConvertible {
    /// Number of positions along each axis, slow axis first; each at least 1.
    public let dimensions: [Int]
    /// Number of scan positions.
    public let size: Int

    /// - Throws: `NavShapeError` when there is no axis, an axis is shorter than 1, or the product is too large.
    public init(_ dimensions: [Int]) throws(NavShapeError) {
        guard !dimensions.isEmpty else { throw .empty }
        guard dimensions.allSatisfy({ $0 > 0 }) else { throw .notPositive(dimensions) }
        var size = 1
        for length in dimensions {
            let (product, overflow) = size.multipliedReportingOverflow(by: length)
            guard !overflow else { throw .tooLarge(dimensions) }
            size = product
        }
        self.dimensions = dimensions
        self.size = size
    }

    /// Positions in one scan line: the length of the fast axis.
    public var lineLength: Int { dimensions[dimensions.count - 1] }
    /// Number of scan lines: the product of all axes but the fast one.
    public var lineCount: Int { size / lineLength }

    /// Such as `128 × 256`.
    public var description: String { dimensions.map(String.init).joined(separator: " × ") }
}

extension NavShape: Codable {
    /// Reads the lengths as an array, slow axis first.
    public init(from decoder: any Decoder) throws {
        try self.init([Int](from: decoder))
    }

    /// Writes the lengths as an array, slow axis first.
    public func encode(to encoder: any Encoder) throws {
        try dimensions.encode(to: encoder)
    }
}

/// Why no nav shape could be found. Frame counts include declared lead-in, fly-back and tail frames.
public enum NavShapeError: Error, Sendable, Hashable, CustomStringConvertible {
    case empty
    /// An axis is 0 or below −1, or −1 where no placeholder is allowed.
    case notPositive([Int])
    case tooManyPlaceholders([Int])
    /// −1 needs the number of frames, and the detector did not announce one.
    case needsFrameCount([Int])
    /// `frames`, less `margins` lead-in and tail frames, cannot be divided by `unit` frames.
    case notDivisible(shape: [Int], frames: Int, margins: Int, unit: Int)
    /// The two placeholders stand for `remainder` positions or lines, which no whole number gives.
    case notSquare(shape: [Int], frames: Int, remainder: Int)
    case hookHasPlaceholder([Int])
    /// The hook's shape needs `needed` frames, the detector sends `frames`.
    case hookDisagrees(shape: [Int], needed: Int, frames: Int)
    /// Nothing told the shape, and `frames` is not a square.
    case noShape(frames: Int)
    case tooLarge([Int])

    public var description: String {
        switch self {
        case .empty:
            return "nav shape has no axis: give at least one length, such as 128 128"
        case .notPositive(let shape):
            return "nav shape \(Self.text(shape)): every length must be at least 1 (or -1 where it is to be worked out)"
        case .tooManyPlaceholders(let shape):
            return "nav shape \(Self.text(shape)): at most two lengths may be -1"
        case .needsFrameCount(let shape):
            return "nav shape \(Self.text(shape)): -1 needs the number of frames, but the detector announced none "
                + "(endless acquisition, or no acquisition header): give all lengths"
        case .notDivisible(let shape, let frames, let margins, let unit):
            let less = margins > 0 ? " less \(margins) lead-in and tail frames" : ""
            return "nav shape \(Self.text(shape)): \(frames) frames\(less) cannot be divided by \(unit)"
        case .notSquare(let shape, let frames, let remainder):
            return "nav shape \(Self.text(shape)): of \(frames) frames, \(remainder) remain for the two lengths given "
                + "as -1, which is not a square: give one of them"
        case .hookHasPlaceholder(let shape):
            return "the nav shape hook answered \(Self.text(shape)): all its lengths must be at least 1"
        case .hookDisagrees(let shape, let needed, let frames):
            return "the nav shape hook answered \(Self.text(shape)), which takes \(needed) frames, "
                + "but the acquisition has \(frames)"
        case .noShape(let frames):
            return "no nav shape: none was given, the acquisition header has none, "
                + "and \(frames) frames are not a square"
        case .tooLarge(let shape):
            return "nav shape \(Self.text(shape)) has more positions than can be handled"
        }
    }

    private static func text(_ shape: [Int]) -> String { "(" + shape.map(String.init).joined(separator: ", ") + ")" }
}
