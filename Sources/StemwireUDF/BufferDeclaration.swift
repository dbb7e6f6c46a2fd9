import StemwireKernels

/// What a UDF declares about one of its buffers.
///
/// ```swift
/// [.nav("intensity", .uint64), .sig("total", .float64, use: .private, merge: .sum)]
/// ```
public struct BufferDeclaration: Sendable, Hashable {
    /// What there is one row of numbers for.
    public enum Kind: String, Sendable, Hashable, CaseIterable, Codable {
        /// One for each scan position: shape nav + extra.
        case nav
        /// One for each detector pixel: shape sig (y, x) + extra.
        case sig
        /// One for the run: shape extra.
        case single
    }

    /// Who sees it.
    public enum Use: String, Sendable, Hashable, CaseIterable, Codable {
        /// Filled while processing and published as a channel.
        case exported
        /// Filled while processing, not published: input of `computeResults`.
        case `private`
        /// Does not exist while processing; `computeResults` fills it, and it is published.
        case resultOnly
        /// Exists while a partition is processed, up to `postprocess`; neither merged nor published.
        case scratch
    }

    /// How the buffers of two partitions become one.
    public enum Merge: String, Sendable, Hashable, CaseIterable, Codable {
        /// Rows go to their scan positions: nav buffers, always and only.
        case positions
        case sum
        case minimum
        case maximum
        /// The one that has seen the highest scan position wins, in whatever order they are merged.
        case overwrite
        /// The UDF's own `merge(into:from:)`.
        case custom
    }

    public let name: String
    public let kind: Kind
    public let dtype: DType
    /// The axes behind those of the kind.
    public let extraShape: [Int]
    public let use: Use
    public let merge: Merge

    /// One row for each scan position.
    public static func nav(
        _ name: String, _ dtype: DType, extraShape: [Int] = [], use: Use = .exported
    ) -> BufferDeclaration {
        BufferDeclaration(name: name, kind: .nav, dtype: dtype, extraShape: extraShape, use: use, merge: .positions)
    }

    /// One row for each detector pixel.
    public static func sig(
        _ name: String, _ dtype: DType, extraShape: [Int] = [], use: Use = .exported, merge: Merge = .sum
    ) -> BufferDeclaration {
        BufferDeclaration(name: name, kind: .sig, dtype: dtype, extraShape: extraShape, use: use, merge: merge)
    }

    /// One array for the run.
    public static func single(
        _ name: String, _ dtype: DType, extraShape: [Int] = [], use: Use = .exported, merge: Merge = .sum
    ) -> BufferDeclaration {
        BufferDeclaration(name: name, kind: .single, dtype: dtype, extraShape: extraShape, use: use, merge: merge)
    }

    /// The shape of the buffer for a whole run.
    public func shape(_ meta: UDFMeta) -> [Int] {
        switch kind {
        case .nav: meta.navShape + extraShape
        case .sig: [meta.sigShape.height, meta.sigShape.width] + extraShape
        case .single: extraShape
        }
    }

    /// The elements that belong to one scan position of a nav buffer, or to all of another.
    func elementsPerRow(_ meta: UDFMeta) -> Int {
        kind == .nav ? extraShape.reduce(1, *) : shape(meta).reduce(1, *)
    }

    /// Whether it exists while a partition is processed.
    var isProcessed: Bool { use != .resultOnly }

    /// Whether it is part of a partition's result.
    var isMerged: Bool { use == .exported || use == .private }

    /// Whether it becomes a channel.
    public var isChannel: Bool { use == .exported || use == .resultOnly }

    /// Whether merging in another order gives the same bits.
    var mergesExactly: Bool {
        guard isMerged else { return true }
        return switch merge {
        case .positions, .minimum, .maximum, .overwrite: true
        case .sum: !dtype.isFloatingPoint
        case .custom: false
        }
    }

    /// What is wrong with it, if something is.
    var fault: String? {
        if name.isEmpty || !name.utf8.allSatisfy(isNameByte) {
            return "the buffer name \"\(name)\" is not made of letters, digits, '_', '-' and '.'"
        }
        if elementCount(extraShape) == nil { return "the buffer \(name) has the impossible extra shape \(extraShape)" }
        guard isMerged else { return nil }
        if dtype == .bool && [.sum, .minimum, .maximum].contains(merge) {
            return "the buffer \(name) of bool cannot be merged by \(merge.rawValue)"
        }
        if dtype.isComplex && (merge == .minimum || merge == .maximum) {
            return "the complex buffer \(name) has no \(merge.rawValue)"
        }
        return nil
    }
}

/// Letters, digits, '_', '-' and '.': what names may consist of that become topics and file names.
func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
        true
    default: false
    }
}
