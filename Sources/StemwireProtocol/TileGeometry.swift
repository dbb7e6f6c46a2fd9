/// Where the frames lie in a tile's payload, checked against the payload's size before any view is made.
public struct TileGeometry: Sendable, Hashable {
    public let count: Int
    public let stride: Int
    public let headerOffset: Int
    public let pixelOffset: Int
    public let pixelBytes: Int

    /// - Throws: `TileGeometryError` when a frame would lie outside a payload of `payloadBytes`.
    public init(_ tile: WireTile, payloadBytes: Int) throws(TileGeometryError) {
        guard (1...UInt32(WireLimits.framesPerTile)).contains(tile.count) else {
            throw .impossible("\(tile.count) frames in one tile; 1 to \(WireLimits.framesPerTile) are allowed")
        }
        let limit = UInt64(WireLimits.payloadBytes)
        for (name, value) in [
            ("stride", tile.stride), ("header offset", tile.headerOffset), ("pixel offset", tile.pixelOffset),
            ("pixel bytes", tile.format.payloadBytes), ("payload bytes", tile.payloadBytes),
        ] where value > limit {
            throw .impossible("\(name) is \(value), more than the limit of \(limit)")
        }
        count = Int(tile.count)
        stride = Int(tile.stride)
        headerOffset = Int(tile.headerOffset)
        pixelOffset = Int(tile.pixelOffset)
        pixelBytes = Int(tile.format.payloadBytes)
        guard tile.payloadBytes == UInt64(payloadBytes) else {
            throw .impossible("the header says \(tile.payloadBytes) payload bytes, \(payloadBytes) came")
        }
        // Sizes are at most 2^30 and the count at most 2^16: no overflow.
        let end = (count - 1) * stride + pixelOffset + pixelBytes
        guard headerOffset <= pixelOffset, pixelOffset + pixelBytes <= stride, end <= payloadBytes else {
            throw .impossible(
                "\(count) frames of \(pixelBytes) bytes at stride \(stride), offset \(pixelOffset) do not fit in \(payloadBytes) bytes"
            )
        }
    }

    /// The bytes of frame `index`'s pixels within the payload.
    public func pixels(ofFrame index: Int) -> Range<Int> {
        precondition((0..<count).contains(index), "frame \(index) of a tile of \(count)")
        let start = index * stride + pixelOffset
        return start..<start + pixelBytes
    }
}

/// A tile header that does not fit its payload.
public enum TileGeometryError: Error, Sendable, CustomStringConvertible {
    case impossible(String)

    public var description: String {
        switch self {
        case .impossible(let why): "tile refused: \(why); sender and receiver may differ in version"
        }
    }
}
