import StemwireKernels

extension BufferDeclaration {
    /// Gives fresh buffers the value that changes nothing: the lowest for a maximum, the highest for a minimum. They come
    /// zeroed, which is right for all else.
    func fillNeutral(_ storage: AlignedStorage) {
        guard merge == .minimum || merge == .maximum else { return }
        let isLowest = merge == .maximum
        func integers<Element: ResultElement & FixedWidthInteger>(_ type: Element.Type) {
            storage.fill(isLowest ? Element.min : Element.max)
        }
        func floats<Element: ResultElement & BinaryFloatingPoint>(_ type: Element.Type) {
            storage.fill(isLowest ? -Element.infinity : Element.infinity)
        }
        switch dtype {
        case .uint8: integers(UInt8.self)
        case .uint16: integers(UInt16.self)
        case .uint32: integers(UInt32.self)
        case .uint64: integers(UInt64.self)
        case .int32: integers(Int32.self)
        case .int64: integers(Int64.self)
        case .float32: floats(Float.self)
        case .float64: floats(Double.self)
        case .bool, .complex64, .complex128: break
        }
    }

    /// Gives a nav array the value of unprocessed positions: NaN where there is one, else the zero that is there.
    func fillMissing(_ array: inout ResultArray) {
        switch dtype {
        case .float32: array.fill(Float.nan)
        case .float64: array.fill(Double.nan)
        case .complex64: array.fill(Complex64(.nan, .nan))
        case .complex128: array.fill(Complex128(.nan, .nan))
        case .bool, .uint8, .uint16, .uint32, .uint64, .int32, .int64: break
        }
    }

    /// Merges the buffers of kind sig or single of two parts of a scan by the declared rule.
    ///
    /// - Parameter sourceIsNewer: Whether the source has seen the higher scan position.
    func merge(_ destination: inout ResultArray, _ source: ResultArray, sourceIsNewer: Bool) {
        switch merge {
        case .sum: destination.combine(source, .sum)
        case .minimum: destination.combine(source, .minimum)
        case .maximum: destination.combine(source, .maximum)
        case .overwrite: if sourceIsNewer { destination = source }
        case .positions, .custom: break
        }
    }
}

extension AlignedStorage {
    fileprivate func fill<Element: ResultElement>(_ value: Element) {
        pointer.assumingMemoryBound(to: Element.self)
            .update(repeating: value, count: byteCount / MemoryLayout<Element>.stride)
    }
}

private enum Combination {
    case sum, minimum, maximum
}

extension ResultArray {
    fileprivate mutating func fill<Element: ResultElement>(_ value: Element) {
        withMutableElements(as: Element.self) { $0.update(repeating: value) }
    }

    fileprivate mutating func combine(_ other: ResultArray, _ combination: Combination) {
        switch dtype {
        case .uint8: combineIntegers(other, combination, UInt8.self)
        case .uint16: combineIntegers(other, combination, UInt16.self)
        case .uint32: combineIntegers(other, combination, UInt32.self)
        case .uint64: combineIntegers(other, combination, UInt64.self)
        case .int32: combineIntegers(other, combination, Int32.self)
        case .int64: combineIntegers(other, combination, Int64.self)
        case .float32: combineFloats(other, combination, Float.self)
        case .float64: combineFloats(other, combination, Double.self)
        case .complex64: map(other, Complex64.self) { Complex64($0.real + $1.real, $0.imaginary + $1.imaginary) }
        case .complex128: map(other, Complex128.self) { Complex128($0.real + $1.real, $0.imaginary + $1.imaginary) }
        case .bool: break
        }
    }

    private mutating func combineIntegers<Element: ResultElement & FixedWidthInteger>(
        _ other: ResultArray, _ combination: Combination, _ type: Element.Type
    ) {
        switch combination {
        // Wraps like the kernels do; sums of counts in 64 bits do not come near.
        case .sum: map(other, type) { $0 &+ $1 }
        case .minimum: map(other, type) { $1 < $0 ? $1 : $0 }
        case .maximum: map(other, type) { $1 > $0 ? $1 : $0 }
        }
    }

    private mutating func combineFloats<Element: ResultElement & BinaryFloatingPoint>(
        _ other: ResultArray, _ combination: Combination, _ type: Element.Type
    ) {
        switch combination {
        case .sum: map(other, type) { $0 + $1 }
        // A NaN on either side stays, as in NumPy, so the order of merging does not matter.
        case .minimum: map(other, type) { $1 < $0 || $1.isNaN ? $1 : $0 }
        case .maximum: map(other, type) { $1 > $0 || $1.isNaN ? $1 : $0 }
        }
    }

    @inline(__always)
    private mutating func map<Element: ResultElement>(
        _ other: ResultArray, _ type: Element.Type, _ body: (Element, Element) -> Element
    ) {
        other.withElements(as: type) { source in
            withMutableElements(as: type) { destination in
                precondition(source.count == destination.count)
                for index in 0..<destination.count { destination[index] = body(destination[index], source[index]) }
            }
        }
    }
}
