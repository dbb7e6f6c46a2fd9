import StemwireKernels

/// Access to a UDF's buffers by name. Valid during the call it was handed to; belongs to one thread.
///
/// Of buffers of kind nav only the rows of the present frame, tile or partition are visible (in `computeResults`: all);
/// row after row, each with the elements of the extra shape.
public final class UDFBuffers {
    struct Slot {
        let name: String
        let kind: BufferDeclaration.Kind
        let dtype: DType
        let elementsPerRow: Int
        let pointer: UnsafeMutableRawPointer
    }

    private let slots: [Slot]
    /// Keeps the slots' memory.
    private let owners: [AlignedStorage]
    private let isWritable: Bool
    /// The scan position of the first row of nav buffers.
    private let firstPosition: Int
    /// The scan positions whose nav rows are visible.
    var window: Range<Int>

    init(slots: [Slot], owners: [AlignedStorage], positions: Range<Int>, isWritable: Bool) {
        self.slots = slots
        self.owners = owners
        self.isWritable = isWritable
        firstPosition = positions.lowerBound
        window = positions
    }

    /// The names of the buffers, as declared.
    public var names: [String] { slots.map(\.name) }

    /// A buffer's elements, to be changed.
    ///
    /// - Throws: `UDFFailure` when there is no such buffer, it is of another type, or it may only be read here.
    public func elements<Element: ResultElement>(
        _ name: String, as type: Element.Type
    ) throws -> UnsafeMutableBufferPointer<Element> {
        guard isWritable else { throw UDFFailure("the buffer \(name) may only be read here; use values(_:as:)") }
        return try find(name, type)
    }

    /// A buffer's elements, to be read.
    ///
    /// - Throws: `UDFFailure` when there is no such buffer, or it is of another type.
    public func values<Element: ResultElement>(
        _ name: String, as type: Element.Type
    ) throws -> UnsafeBufferPointer<Element> {
        UnsafeBufferPointer(try find(name, type))
    }

    /// A buffer's bytes, to be changed, whatever its type: for kernels that know the type themselves.
    ///
    /// - Throws: `UDFFailure` when there is no such buffer, or it may only be read here.
    public func bytes(_ name: String) throws -> UnsafeMutableRawBufferPointer {
        guard isWritable else { throw UDFFailure("the buffer \(name) may only be read here; use values(_:as:)") }
        let slot = slots[try index(of: name)]
        let (first, count) = visibleElements(slot)
        return UnsafeMutableRawBufferPointer(
            start: slot.pointer + first * slot.dtype.byteCount, count: count * slot.dtype.byteCount)
    }

    private func find<Element: ResultElement>(
        _ name: String, _ type: Element.Type
    ) throws -> UnsafeMutableBufferPointer<Element> {
        let slot = slots[try index(of: name)]
        guard slot.dtype == type.dtype else {
            throw UDFFailure("the buffer \(name) is of \(slot.dtype), not of \(type.dtype)")
        }
        let (first, count) = visibleElements(slot)
        return UnsafeMutableBufferPointer(start: slot.pointer.assumingMemoryBound(to: type) + first, count: count)
    }

    private func index(of name: String) throws -> Int {
        guard let index = slots.firstIndex(where: { $0.name == name }) else {
            throw UDFFailure("no buffer \"\(name)\" here; there is \(names.joined(separator: ", "))")
        }
        return index
    }

    private func visibleElements(_ slot: Slot) -> (first: Int, count: Int) {
        guard slot.kind == .nav else { return (0, slot.elementsPerRow) }
        return ((window.lowerBound - firstPosition) * slot.elementsPerRow, window.count * slot.elementsPerRow)
    }
}

/// What a UDF works with while it processes the frames of a partition. Belongs to one thread.
public final class UDFContext<TaskData> {
    /// The acquisition.
    public let meta: UDFMeta
    /// What `makeTaskData` made for this thread.
    public var data: TaskData
    /// The index of the partition the frames belong to.
    public internal(set) var partition = 0
    /// The buffers of the partition.
    public internal(set) var buffers: UDFBuffers

    init(meta: UDFMeta, data: TaskData, buffers: UDFBuffers) {
        self.meta = meta
        self.data = data
        self.buffers = buffers
    }

    /// A buffer's elements, to be changed; of nav buffers the rows of the present frames.
    ///
    /// - Throws: `UDFFailure` when there is no such buffer, or it is of another type.
    public func buffer<Element: ResultElement>(
        _ name: String, as type: Element.Type
    ) throws -> UnsafeMutableBufferPointer<Element> {
        try buffers.elements(name, as: type)
    }

    /// A buffer's bytes, to be changed; of nav buffers the rows of the present frames.
    ///
    /// - Throws: `UDFFailure` when there is no such buffer.
    public func bytes(_ name: String) throws -> UnsafeMutableRawBufferPointer { try buffers.bytes(name) }

    /// Values that came with the request for each scan position: the rows of the present frames.
    ///
    /// - Throws: `UDFFailure` when the request had none of this name, or they are of another type.
    public func auxiliary<Element: ResultElement>(
        _ name: String, as type: Element.Type
    ) throws -> UnsafeBufferPointer<Element> {
        guard let array = meta.auxiliary[name] else {
            throw UDFFailure("no auxiliary data \"\(name)\" came with the request")
        }
        guard array.dtype == type.dtype else {
            throw UDFFailure("the auxiliary data \(name) are of \(array.dtype), not of \(type.dtype)")
        }
        let perRow = array.count / meta.positionCount
        let rows = buffers.window
        // `meta` keeps the array, so the pointer lives as long as this context.
        return array.withElements(as: type) {
            UnsafeBufferPointer(rebasing: $0[rows.lowerBound * perRow..<rows.upperBound * perRow])
        }
    }
}

/// What a UDF computes its results from, and where it puts them.
public final class ResultsContext {
    /// The acquisition.
    public let meta: UDFMeta
    /// The scan positions that are in the merged buffers.
    ///
    /// After a change of parameters: when there are buffers of kind sig or single, those of the present parameters, since
    /// these buffers started anew; otherwise all that have rows, whatever the parameters were.
    public let processed: PositionSet
    /// The merged buffers, exported and private, to be read: nav rows of all scan positions.
    public let merged: UDFBuffers
    /// The `.resultOnly` buffers, to be filled: nav rows of all scan positions, at first as for unprocessed ones.
    public let results: UDFBuffers
    /// Which positions of a nav result are worth showing, when these are not the processed ones.
    private(set) var valid: [String: PositionSet] = [:]

    init(meta: UDFMeta, processed: PositionSet, merged: UDFBuffers, results: UDFBuffers) {
        self.meta = meta
        self.processed = processed
        self.merged = merged
        self.results = results
    }

    /// Says which positions of a nav channel are worth showing, when these are not the processed ones.
    public func setValid(_ positions: PositionSet, for channel: String) throws {
        guard positions.size == meta.positionCount else {
            throw UDFFailure("the valid mask of \(channel) has \(positions.size) positions, not \(meta.positionCount)")
        }
        valid[channel] = positions
    }
}
